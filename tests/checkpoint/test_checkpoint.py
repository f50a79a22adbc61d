from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.describe import describe
from bert_ft.checkpoint.export import export_checkpoint, new_checkpoint
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.checkpoint.writer import write_checkpoint
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf

Weights = dict[str, np.ndarray]


def test_tensorflow_reads_what_was_written(model_dir: Path, weights: Weights) -> None:
    stored = dict(tf.train.list_variables(str(model_dir / "bert_model.ckpt")))
    assert stored == {name: list(value.shape) for name, value in weights.items()}
    for name, value in weights.items():
        np.testing.assert_array_equal(tf.train.load_variable(str(model_dir / "bert_model.ckpt"), name), value)


def test_meta_graph_restores_every_variable_and_holds_no_weights(model_dir: Path, weights: Weights) -> None:
    prefix = str(model_dir / "bert_model.ckpt")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.import_meta_graph(f"{prefix}.meta")
        saver.restore(session, prefix)
        variables = tf.compat.v1.global_variables()
        values = dict(zip([v.op.name for v in variables], session.run(variables), strict=True))
    assert values.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(values[name], value)


def test_meta_graph_does_not_grow_with_the_weights(tmp_path: Path) -> None:
    sizes = []
    for width in (100, 1000):
        write_checkpoint(tmp_path / f"w{width}", {"x": np.ones((width, width), np.float32)})
        sizes.append((tmp_path / f"w{width}.meta").stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 100


def test_optimizer_state_and_other_heads_beside_the_weights_are_left_alone(
    tmp_path: Path, weights: Weights, config: BertConfig
) -> None:
    beside = {f"{name}/adam_m": np.full_like(value, 7) for name, value in weights.items()}
    beside["cls/predictions/output_bias"] = np.zeros(9, np.float32)
    beside["global_step"] = np.array(5, np.int64)
    write_checkpoint_of_any_dtype(tmp_path / "model.ckpt-5", {**weights, **beside})
    loaded = CheckpointReader(tmp_path / "model.ckpt-5").load(encoder_shapes(config))
    assert loaded.keys() == encoder_shapes(config).keys()
    for name, value in loaded.items():
        np.testing.assert_array_equal(value, weights[name])


def test_export_keeps_weights_and_heads_and_drops_optimizer_state(
    tmp_path: Path, weights: Weights, config: BertConfig, vocab_file: Path
) -> None:
    beside = {f"{name}/adam_v": np.ones_like(value) for name, value in weights.items()}
    beside |= {"cls/predictions/output_bias": np.arange(9, dtype=np.float32)}
    beside |= {"global_step": np.array(5, np.int64)}
    write_checkpoint_of_any_dtype(tmp_path / "model.ckpt-5", {**weights, **beside})
    config.save(tmp_path / "bert_config.json")
    export_checkpoint(tmp_path / "model.ckpt-5", tmp_path / "out", vocab_file, None, ["no", "yes"], True, None)
    exported = CheckpointReader(tmp_path / "out" / "bert_model.ckpt")
    assert exported.shapes.keys() == {*weights, "cls/predictions/output_bias"}
    np.testing.assert_array_equal(exported.read("output_weights"), weights["output_weights"])
    assert "no, yes" in describe(tmp_path / "out")


def test_new_checkpoint_is_truncated_normal_and_repeatable(tmp_path: Path, vocab_file: Path) -> None:
    config = BertConfig(9, 64, 1, 2, 256, type_vocab_size=2, initializer_range=0.02)
    for name in ("first", "second"):
        new_checkpoint(tmp_path / name, config, vocab_file, True, seed=3)
    first, second = (CheckpointReader(tmp_path / name / "bert_model.ckpt") for name in ("first", "second"))
    kernel = first.read("bert/encoder/layer_0/intermediate/dense/kernel")
    np.testing.assert_array_equal(kernel, second.read("bert/encoder/layer_0/intermediate/dense/kernel"))
    assert np.abs(kernel).max() <= 0.04
    # a normal distribution cut at two standard deviations has 0.8796 of its standard deviation
    assert kernel.std() == pytest.approx(0.02 * 0.8796, rel=0.02)
    assert np.all(first.read("bert/embeddings/LayerNorm/gamma") == 1)
    assert np.all(first.read("bert/pooler/dense/bias") == 0)


def test_a_missing_variable_is_named(tmp_path: Path, weights: Weights, config: BertConfig) -> None:
    name = "bert/encoder/layer_1/output/dense/kernel"
    write_checkpoint(tmp_path / "x", {k: v for k, v in weights.items() if k != name})
    with pytest.raises(BertFtError, match=name):
        CheckpointReader(tmp_path / "x").load(encoder_shapes(config))


def test_a_renamed_scope_is_told(tmp_path: Path, weights: Weights, config: BertConfig) -> None:
    write_checkpoint(tmp_path / "x", {k.replace("bert/", "other/"): v for k, v in weights.items()})
    with pytest.raises(BertFtError, match="it has other/embeddings/word_embeddings"):
        CheckpointReader(tmp_path / "x").load(encoder_shapes(config))


def test_a_wrong_shape_is_named_with_both_shapes(tmp_path: Path, weights: Weights, config: BertConfig) -> None:
    weights["bert/pooler/dense/bias"] = np.zeros(7, np.float32)
    write_checkpoint(tmp_path / "x", weights)
    with pytest.raises(BertFtError, match=r"bert/pooler/dense/bias has shape \[7\].*\[8\]"):
        CheckpointReader(tmp_path / "x").load(encoder_shapes(config))


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_data_file_is_named(model_dir: Path, config: BertConfig, damage: str) -> None:
    data = model_dir / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0xFF
    data.write_bytes(content)
    with pytest.raises(BertFtError, match=r"bert_model\.ckpt.*truncated or damaged") as caught:
        CheckpointReader(model_dir / "bert_model.ckpt").load(encoder_shapes(config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"])
def test_an_absent_file_is_named(model_dir: Path, name: str) -> None:
    (model_dir / name).unlink()
    with pytest.raises(BertFtError, match=name):
        CheckpointReader(model_dir / "bert_model.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\0" * 300])
def test_a_broken_index_is_named(model_dir: Path, content: bytes) -> None:
    (model_dir / "bert_model.ckpt.index").write_bytes(content)
    with pytest.raises(BertFtError, match=r"bert_model\.ckpt\.index: not a readable TensorFlow checkpoint"):
        CheckpointReader(model_dir / "bert_model.ckpt")


def test_inspect_names_a_vocabulary_that_does_not_fit(model_dir: Path) -> None:
    with (model_dir / "vocab.txt").open("a") as vocab:
        vocab.write("one_more\n")
    with pytest.raises(BertFtError, match=r"vocab\.txt: has 10 entries.*vocab_size 9"):
        describe(model_dir)


def test_inspect_tells_shape_head_labels_and_size(model_dir: Path, weights: Weights) -> None:
    text = describe(model_dir)
    assert "2 layers, hidden 8, 2 heads" in text
    assert "classification, 2 labels: bad, good" in text
    assert f"{len(weights)} variables, {sum(value.size for value in weights.values()):,} weights" in text


def write_checkpoint_of_any_dtype(prefix: Path, values: dict[str, np.ndarray]) -> None:
    """As Google's scripts leave it: an int64 global_step among the float32 variables."""
    names = sorted(values)
    tensors = [tf.constant(values[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
