from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata, open_model_directory
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.errors import BertFtError
from bert_ft.files.replace import replaced_directory

FILES = {
    "bert_config.json",
    "bert_ft.json",
    "bert_model.ckpt.data-00000-of-00001",
    "bert_model.ckpt.index",
    "bert_model.ckpt.meta",
    "vocab.txt",
}


def test_a_saved_directory_opens_with_all_it_was_given(
    model_dir: Path, config: BertConfig, metadata: ModelMetadata
) -> None:
    opened = open_model_directory(model_dir)
    assert {path.name for path in model_dir.iterdir()} == FILES
    assert opened.config == config
    assert opened.metadata is not None
    assert opened.metadata.labels == metadata.labels
    assert json.loads((model_dir / "bert_ft.json").read_text())["format_version"] == 1


def test_saving_again_replaces_the_model_and_keeps_other_files(
    model_dir: Path, weights: dict[str, np.ndarray], config: BertConfig, vocab_file: Path, metadata: ModelMetadata
) -> None:
    (model_dir / "eval_results.txt").write_text("eval_accuracy = 1.0\n")
    (model_dir / "logs").mkdir()
    (model_dir / "logs" / "events").write_text("x")
    before = (model_dir / "bert_model.ckpt.data-00000-of-00001").read_bytes()
    save_model_directory(model_dir, {name: value + 1 for name, value in weights.items()}, config, vocab_file, metadata)
    assert (model_dir / "bert_model.ckpt.data-00000-of-00001").read_bytes() != before
    assert (model_dir / "eval_results.txt").read_text() == "eval_accuracy = 1.0\n"
    assert (model_dir / "logs" / "events").read_text() == "x"
    assert sorted(os.listdir(model_dir.parent)) == ["model", "some_vocab.txt"]


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "current directory"])
def test_a_write_that_fails_leaves_the_old_files_and_no_litter(
    model_dir: Path, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if inside:
        monkeypatch.chdir(model_dir)
    before = {path.name: path.read_bytes() for path in model_dir.iterdir()}

    def write_half() -> None:
        with replaced_directory(model_dir, last="bert_ft.json") as staging:
            (staging / "vocab.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert {path.name: path.read_bytes() for path in model_dir.iterdir()} == before
    assert sorted(os.listdir(model_dir.parent)) == ["model", "some_vocab.txt"]


def test_the_current_directory_can_be_replaced(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model_dir)
    with replaced_directory(Path("."), last="bert_ft.json") as staging:
        (staging / "vocab.txt").write_text("new")
    assert Path("vocab.txt").read_text() == "new"
    assert {path.name for path in model_dir.iterdir()} == FILES


def test_a_mixed_set_is_refused(model_dir: Path) -> None:
    vocab = model_dir / "vocab.txt"
    vocab.write_text(vocab.read_text().replace("a\nb", "b\na"))
    with pytest.raises(BertFtError, match=r"vocab\.txt: not the file that was written with bert_ft\.json"):
        open_model_directory(model_dir)


@pytest.mark.parametrize("name", sorted(FILES - {"bert_ft.json", "bert_model.ckpt.meta"}))
def test_an_absent_file_is_named(model_dir: Path, name: str) -> None:
    (model_dir / name).unlink()
    with pytest.raises(BertFtError, match=name):
        open_model_directory(model_dir)


def test_an_absent_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match="nowhere: no such directory"):
        open_model_directory(tmp_path / "nowhere")


def test_another_checkpoint_of_the_folder_is_offered(model_dir: Path) -> None:
    with pytest.raises(BertFtError, match=r"model\.ckpt-7\.index: no such file.*has bert_model\.ckpt"):
        open_model_directory(model_dir, checkpoint_name="model.ckpt-7")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"vocab_size": None}, "vocab_size must be a whole number"),
        ({"hidden_size": 10**9}, "hidden_size must be a whole number from 1 to"),
        ({"num_attention_heads": 3}, "hidden_size 8 is not a multiple of num_attention_heads 3"),
        ({"hidden_act": "swish"}, "hidden_act 'swish' is not one of"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob must be a number"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be a whole number"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(model_dir: Path, change: dict, fault: str) -> None:
    path = model_dir / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BertFtError, match=rf"bert_config\.json: {fault}"):
        BertConfig.load(path)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"hidden_size": 8}', "\x00", "[" * 100_000])
def test_a_configuration_that_is_none_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "bert_config.json").write_text(content)
    with pytest.raises(BertFtError, match=r"bert_config\.json") as caught:
        BertConfig.load(tmp_path / "bert_config.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{}", '{"format_version": 99}', '{"format_version": 1, "labels": 3}'])
def test_metadata_that_is_none_is_refused(model_dir: Path, content: str) -> None:
    (model_dir / "bert_ft.json").write_text(content)
    with pytest.raises(BertFtError, match=r"bert_ft\.json"):
        open_model_directory(model_dir)
