"""A training never replaces the model it starts from, and another command's only with --overwrite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bert_ft import run_classifier
from bert_ft.checkpoint.directory import ModelMetadata
from tests.small_training import CLASSIFY, TAG, error_of, train, write_data

SHORT = "--num_train_epochs=0.3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overwrite")
    write_data(path)
    done = train(path, CLASSIFY, path / "made", SHORT)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> Path:
    """The model of a classification training."""
    return Path(shutil.copytree(folder / "made", tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("way", ["folder", "prefix", "link to the folder", "links to the files"])
def test_the_model_it_starts_from_is_never_replaced(folder: Path, made: Path, way: str, overwrite: list[str]) -> None:
    start, linked = made, made.with_name("linked")
    if way == "prefix":
        start = made / "bert_model.ckpt"
    elif way == "link to the folder":
        linked.symlink_to(made)
        start = linked
    elif way == "links to the files":
        linked.mkdir()
        for path in made.iterdir():
            (linked / path.name).symlink_to(path)
        start = linked
    before = contents(made)
    done = train(folder, CLASSIFY, made, f"--init_checkpoint={start}", SHORT, *overwrite)
    assert "holds the model to start from, which would be lost; give another --output_dir" in error_of(done)
    assert contents(made) == before


@pytest.mark.parametrize(
    ("task", "flags", "named"),
    [
        (CLASSIFY, ["--seed=7"], "--seed"),
        (CLASSIFY, ["--train_file=dev.tsv"], "--train_file"),
        (CLASSIFY, ["--labels=0,1,2,3"], "--labels"),
        (CLASSIFY, ["--learning_rate=2e-3", "--max_seq_length=9"], "--max_seq_length, --learning_rate"),
        (TAG, [], "made by a command with another --task_name;"),
    ],
)
def test_a_model_of_another_command_is_named_before_any_data_are_read(
    folder: Path, made: Path, task: list[str], flags: list[str], named: str
) -> None:
    metadata = ModelMetadata.load(made / "bert_ft.json")
    before = contents(made)
    done = train(folder, task, made, SHORT, *flags, "--data_dir=nowhere" if task == CLASSIFY else "--augment=0")
    error = error_of(done)
    assert f"(task tsv, accuracy {metadata.metrics['dev']['accuracy']:.4f}, of 20" in error
    assert named in error
    assert "give --overwrite to replace it, or another --output_dir" in error
    assert contents(made) == before


def test_overwrite_replaces_it_and_is_no_part_of_the_model(folder: Path, made: Path) -> None:
    done = train(folder, CLASSIFY, made, SHORT, "--seed=7", "--overwrite")
    assert done.exit_code == 0, done.output
    flags = ModelMetadata.load(made / "bert_ft.json").flags
    assert flags["seed"] == 7
    assert "overwrite" not in flags
    assert train(folder, CLASSIFY, made, SHORT, "--seed=7").exit_code == 0


def test_the_same_command_may_make_its_model_anew(folder: Path, made: Path) -> None:
    unlike = ["--eval_batch_size=3", "--save_checkpoints_steps=2", "--do_train", "--do_eval"]
    done = train(folder, CLASSIFY, made, SHORT, *unlike)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("kind", ["encoder", "broken", "without bert_ft.json", "hugging face"])
def test_what_no_training_made_is_a_model_too(folder: Path, tmp_path: Path, kind: str) -> None:
    output = Path(shutil.copytree(folder / "start", tmp_path / "out"))
    if kind == "broken":
        (output / "bert_ft.json").write_text("{")
    elif kind != "encoder":
        (output / "bert_ft.json").unlink()
    if kind == "hugging face":
        for path in output.glob("bert_model*"):
            path.unlink()
        (output / "model.safetensors").write_bytes(b"weights")
    before = contents(output)
    error = error_of(train(folder, CLASSIFY, output, SHORT))
    told = {"encoder": "task encoder", "broken": "its bert_ft.json cannot be read", "hugging face": "model.safetensors"}
    assert f"holds a model ({told.get(kind, 'bert_model.ckpt.index')}, of 20" in error
    assert contents(output) == before


@pytest.mark.parametrize("name", ["output_dir", "data_dir", "init_checkpoint", "vocab_file", "train_file"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_path_is_a_wrong_command_line(folder: Path, name: str, value: str) -> None:
    flags = [f"--{name}={value}", *CLASSIFY, f"--data_dir={folder}"]
    done = CliRunner().invoke(run_classifier.main, flags[::-1] if name != "data_dir" else flags[:-1])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert f"'--{name}': the path is empty" in line
