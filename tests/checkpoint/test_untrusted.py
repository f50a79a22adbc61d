"""Model directories that someone made to do harm."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small
from tests.checkpoint.crafted_index import STRING, write_index


def craft(folder: Path, shapes: dict[str, list[int]], data: bytes = bytes(1000), **options: int) -> Path:
    write_index(folder / "x.index", shapes, **options)
    (folder / "x.data-00000-of-00001").write_bytes(data)
    return folder / "x"


def test_the_crafted_index_is_one_that_tensorflow_reads(tmp_path: Path) -> None:
    assert CheckpointReader(craft(tmp_path, {"b": [4], "a": [2, 3], "c": []})).shapes == {
        "a": (2, 3),
        "b": (4,),
        "c": (),
    }


def test_sizes_that_fit_a_huge_configuration_need_the_data_for_it(tmp_path: Path, config: BertConfig) -> None:
    """TensorFlow would take the 49 GB before it looks at the data file."""
    huge = replace(config, vocab_size=1_500_000, hidden_size=8192, num_hidden_layers=1)
    shapes = encoder_shapes(huge)
    reader = CheckpointReader(craft(tmp_path, {name: list(shape) for name, shape in shapes.items()}))
    with pytest.raises(BertFtError, match=r"variables take 5\d,\d{3},\d{3},\d{3} bytes, the data files have 1,000"):
        reader.load(shapes)
    with pytest.raises(BertFtError, match=r"word_embeddings takes 49,152,000,000 bytes, the data files have 1,000"):
        reader.read("bert/embeddings/word_embeddings")


@pytest.mark.parametrize("shape", [[-5, 3], [1 << 40, 1 << 40], [1] * 300, [1 << 62]])
def test_shapes_that_would_abort_tensorflow_are_an_error(tmp_path: Path, shape: list[int]) -> None:
    with pytest.raises(BertFtError, match=r"x\.index: variable evil has the impossible shape") as caught:
        CheckpointReader(craft(tmp_path, {"evil": shape, "good": [1]}))
    assert len(str(caught.value)) < 600


def test_a_variable_that_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    reader = CheckpointReader(craft(tmp_path, {"a": [2]}, dtype=STRING))
    with pytest.raises(BertFtError, match="variable a is of type string"):
        reader.load({"a": (2,)})


def test_no_cut_or_changed_index_is_more_than_one_line(tmp_path: Path, model_dir: Path) -> None:
    index = model_dir / "bert_model.ckpt.index"
    whole = index.read_bytes()
    changed = [whole[:size] for size in range(0, len(whole), 97)]
    for at in range(0, len(whole), 31):
        changed.append(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    faults = []
    for content in changed:
        index.write_bytes(content)
        try:
            CheckpointReader(model_dir / "bert_model.ckpt")
        except BertFtError as error:
            faults.append(str(error))
    assert len(faults) > len(changed) / 2
    assert not any("\n" in fault for fault in faults)


def test_a_configuration_whose_product_is_absurd_is_refused(model_dir: Path) -> None:
    path = model_dir / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 2_000_000, "hidden_size": 16_384}))
    with pytest.raises(BertFtError, match=r"bert_config\.json: these sizes make 34,\d{3},\d{3},\d{3} weights"):
        BertConfig.load(path)


def test_the_largest_bert_ever_trained_is_no_absurdity() -> None:
    """Megatron-BERT of 3.9 billion weights: 48 layers, 2560 wide, 40 heads (Shoeybi et al. 2019, table 2)."""
    BertConfig.from_dict(
        {
            "vocab_size": 50_000,
            "hidden_size": 2560,
            "num_hidden_layers": 48,
            "num_attention_heads": 40,
            "intermediate_size": 10_240,
        }
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"head": ["x"]}, "head must be a string or null"),
        ({"max_seq_length": "9"}, "max_seq_length must be a whole number"),
        ({"max_seq_length": 0}, "max_seq_length must be positive"),
        ({"checksums": []}, "checksums must be an object"),
        ({"head_options": None}, "head_options must be an object"),
        ({"checksums": {"../../etc/passwd": "0"}}, "not a file of this folder"),
        ({"checksums": {"/etc/passwd": "0"}}, "not a file of this folder"),
    ],
)
def test_metadata_of_a_wrong_kind_is_one_line(model_dir: Path, change: dict, fault: str) -> None:
    path = model_dir / "bert_ft.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BertFtError, match=fault):
        open_model_directory(model_dir)


def test_a_number_of_many_digits_is_one_line(model_dir: Path) -> None:
    (model_dir / "bert_config.json").write_text('{"vocab_size": ' + "9" * 10_000 + "}")
    with pytest.raises(BertFtError, match=r"bert_config\.json: not a readable JSON file"):
        open_model_directory(model_dir)


def test_small_files_are_small_and_files(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    with pytest.raises(BertFtError, match="larger than 1 MB"):
        read_small(tmp_path / "sparse", 1 << 20)
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    for name in ("pipe", "."):
        with pytest.raises(BertFtError, match="not a file"):
            read_small(tmp_path / name)


def test_links_out_of_the_folder_are_followed(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("vocab.txt", "bert_model.ckpt.data-00000-of-00001"):
        (model_dir / name).rename(tmp_path / "elsewhere" / name)
        (model_dir / name).symlink_to(tmp_path / "elsewhere" / name)
    opened = open_model_directory(model_dir)
    CheckpointReader(opened.checkpoint).load(encoder_shapes(opened.config))
