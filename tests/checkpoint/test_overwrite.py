"""The tools that write a model directory: not over a model without --overwrite, never over their own source."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.commands.main import main

TOOLS = ["export", "new-checkpoint", "import-hf", "export-hf"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary, a model directory ``google`` and the same as a Hugging Face folder ``hf``."""
    path = tmp_path_factory.mktemp("tools")
    (path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    shape = ["--hidden_size=4", "--num_hidden_layers=1", "--max_position_embeddings=8"]
    assert run("new-checkpoint", path / "google", f"--vocab_file={path}/vocab.txt", *shape).exit_code == 0
    assert run("export-hf", path / "google", path / "hf").exit_code == 0
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "work"))


def command(tool: str, folder: Path, output: str | Path) -> list[str | Path]:
    sources: dict[str, list[str | Path]] = {
        "export": [folder / "google" / "bert_model.ckpt"],
        "new-checkpoint": [],
        "import-hf": [folder / "hf"],
        "export-hf": [folder / "google"],
    }
    vocabulary = [f"--vocab_file={folder}/vocab.txt"] if tool == "new-checkpoint" else []
    return [tool, *sources[tool], output, *vocabulary]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def line_of(done: Result, status: int) -> str:
    assert done.exit_code == status, done.output
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("tool", TOOLS)
def test_a_trained_model_is_replaced_only_if_that_is_asked_for(folder: Path, tool: str) -> None:
    output = Path(shutil.copytree(folder / "google", folder / "trained"))
    record = json.loads((output / "bert_ft.json").read_text())
    record |= {"task": "emotion", "metrics": {"step": 40, "dev": {"loss": 0.5, "accuracy": 0.8125}}}
    (output / "bert_ft.json").write_text(json.dumps(record))
    os.utime(output / "bert_ft.json", (1.7e9, 1.7e9))  # 2023-11-14 in all time zones but the easternmost
    before = contents(output)
    line = line_of(run(*command(tool, folder, output)), 1)
    assert f"{output}: holds a model (task emotion, accuracy 0.8125, of 2023-11-1" in line
    assert "give --overwrite to replace it, or another OUTPUT" in line
    assert contents(output) == before
    done = run(*command(tool, folder, output), "--overwrite")
    assert done.exit_code == 0, done.output
    assert (output / "model.safetensors").exists() == (tool == "export-hf")
    assert tool == "export-hf" or ModelMetadata.load(output / "bert_ft.json").task == "encoder"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_hugging_face_folder_is_a_model_too(folder: Path, tool: str) -> None:
    output = Path(shutil.copytree(folder / "hf", folder / "other"))
    assert "holds a model (model.safetensors, of 20" in line_of(run(*command(tool, folder, output)), 1)
    assert contents(output) == contents(folder / "hf")


def test_a_checkpoint_of_googles_scripts_is_a_model_too(folder: Path) -> None:
    output = folder / "trained"
    output.mkdir()
    (output / "model.ckpt-1234.index").write_bytes(b"variables")
    assert "holds a model (model.ckpt-1234.index, of 20" in line_of(run(*command("export", folder, output)), 1)


@pytest.mark.parametrize("tool", ["export", "import-hf", "export-hf"])
@pytest.mark.parametrize("linked", [False, True])
def test_the_source_itself_is_never_replaced(folder: Path, tool: str, linked: bool) -> None:
    source = folder / ("hf" if tool == "import-hf" else "google")
    output = source
    if linked:
        output = folder / "link"
        output.symlink_to(source)
    before = contents(source)
    line = line_of(run(*command(tool, folder, output), "--overwrite"), 1)
    assert f"{output}: holds the model to start from" in line
    assert contents(source) == before


@pytest.mark.parametrize("tool", TOOLS)
def test_a_folder_of_other_things_is_no_model(folder: Path, tool: str) -> None:
    output = folder / "notes"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    (output / "search.index").write_text("mine")
    done = run(*command(tool, folder, output))
    assert done.exit_code == 0, done.output
    assert (output / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("tool", TOOLS)
def test_an_empty_output_is_not_the_current_directory(
    folder: Path, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert "the path is empty" in line_of(run(*command(tool, folder, "")), 2)
    assert list(here.iterdir()) == []
