"""Checkpoints read without TensorFlow, against TensorFlow's own reader and writer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.writer import write_variables
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf

SHAPES = {"a/kernel": (300, 70), "b": (), "c": (3,), "odd": (7,)}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["a/step"] = np.array([1, 2, 3], np.uint8)  # what follows it is not aligned
    write_variables(tmp_path / "m.ckpt", weights)
    return tmp_path / "m.ckpt"


def test_values_are_tensorflows(prefix: Path) -> None:
    loaded = CheckpointReader(prefix).load(SHAPES)
    reader = tf.train.load_checkpoint(str(prefix))
    assert loaded.keys() == SHAPES.keys()
    for name, values in loaded.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, reader.get_tensor(name))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_other_float_types_are_read_as_float32(tmp_path: Path, dtype: tf.DType) -> None:
    values = tf.cast(tf.constant([1.5, -2.25, 1e-3]), dtype)
    write_variables(tmp_path / "m.ckpt", {"x": values})
    loaded = CheckpointReader(tmp_path / "m.ckpt").load({"x": (3,)})["x"]
    np.testing.assert_array_equal(loaded, tf.cast(values, tf.float32).numpy())


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"z": (1,)}, "variable z is missing"),
        ({"c": (4,)}, r"variable c has shape \[3\].* asks for \[4\]"),
        ({"a/step": (3,)}, "variable a/step is of type uint8, not float32"),
    ],
)
def test_variables_that_do_not_fit_are_named(prefix: Path, expected: dict, message: str) -> None:
    with pytest.raises(BertFtError, match=message):
        CheckpointReader(prefix).load(expected)


def test_damage_is_found(prefix: Path) -> None:
    path = prefix.with_name("m.ckpt.data-00000-of-00001")
    whole = path.read_bytes()
    for position in (0, 40_000, len(whole) - 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(BertFtError, match=r"truncated or damaged .its checksum"):
            CheckpointReader(prefix).load(SHAPES)
    path.write_bytes(whole[:-1])
    with pytest.raises(BertFtError, match=r"truncated or damaged .it is cut off"):
        CheckpointReader(prefix).load(SHAPES)


def test_a_variable_in_slices_is_put_together(tmp_path: Path) -> None:
    values = np.arange(16, dtype=np.float32).reshape(8, 2)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "m.ckpt"), tensor_names=["x"] * 2, shape_and_slices=["8 2 0,4:0,2", "8 2 4,4:0,2"],
        tensors=[values[:4], values[4:]],
    )  # fmt: skip
    np.testing.assert_array_equal(CheckpointReader(tmp_path / "m.ckpt").load({"x": (8, 2)})["x"], values)


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, bert_ft.checkpoint.reader; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
