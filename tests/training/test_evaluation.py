"""What an evaluation in the middle of a training leaves, above all when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bert_ft.checkpoint.directory import ModelMetadata, open_model_directory
from bert_ft.errors import BertFtError
from bert_ft.tasks.classification import run as classification_run
from bert_ft.tasks.tagging import run as tagging_run
from tests.small_training import CLASSIFY, TAG, error_of, history, train, variables, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluation")
    write_data(path)
    return path


def fail_in(patch: pytest.MonkeyPatch, evaluation: int, error: Exception, task: list[str]) -> None:
    """Of the evaluations of a training the one of this number, from 1, fails."""
    module: Any = classification_run if task == CLASSIFY else tagging_run
    name = "logits_in_parts" if task == CLASSIFY else "_predict"
    plain, calls = getattr(module, name), [0]

    def failing(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == evaluation:
            raise error
        return plain(*args)

    patch.setattr(module, name, failing)


@pytest.mark.parametrize("task", [CLASSIFY, TAG], ids=["classify", "tag"])
def test_weights_and_state_are_saved_before_its_fault_is_said(
    folder: Path, tmp_path: Path, task: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(folder, task, tmp_path / "whole").exit_code == 0
    assert train(folder, task, tmp_path / "first", "--do_train", "--num_train_epochs=3").exit_code == 0
    broken = tmp_path / "broken"
    with monkeypatch.context() as patch:
        fail_in(patch, 1, MemoryError("Unable to allocate 18.6 GiB"), task)
        error = error_of(train(folder, task, broken))
    assert "the evaluation after step 7 failed (MemoryError: Unable to allocate 18.6 GiB)" in error
    assert "the weights of step 7 are kept" in error
    opened = open_model_directory(broken)
    assert opened.metadata is not None
    assert opened.metadata.metrics == {"step": 7, "dev": {}}
    assert json.loads((broken / "training_state" / "training_state.json").read_text())["steps"] == 7
    assert train(folder, task, broken, "--resume").exit_code == 0
    assert variables(broken) == variables(tmp_path / "whole")
    assert history(tmp_path / "whole") == history(broken)


@pytest.mark.parametrize("error", [RuntimeError("no thread"), BertFtError("dev.tsv: gone")])
def test_the_best_model_before_stays(
    folder: Path, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(folder, CLASSIFY, tmp_path / "first", "--num_train_epochs=1").exit_code == 0
    with monkeypatch.context() as patch:
        fail_in(patch, 2, error, CLASSIFY)
        said = error_of(train(folder, CLASSIFY, tmp_path / "out"))
    shown = str(error) if isinstance(error, BertFtError) else f"RuntimeError: {error}"
    assert f"the evaluation after step 14 failed ({shown}); the weights of step 7 are kept" in said
    metadata = ModelMetadata.load(tmp_path / "out" / "bert_ft.json")
    assert metadata.metrics["step"] == 7
    assert metadata.metrics["dev"].keys() == {"loss", "accuracy", "macro_f1", "weighted_f1"}


@pytest.mark.parametrize("task", [CLASSIFY, TAG], ids=["classify", "tag"])
def test_records_of_the_training_have_no_table_of_the_labels(folder: Path, tmp_path: Path, task: list[str]) -> None:
    states: list[dict[str, Any]] = []
    from bert_ft.training.training_state import TrainingState

    plain = TrainingState.save
    with pytest.MonkeyPatch.context() as patch:

        def save(self: TrainingState, *args: Any) -> None:
            plain(self, *args)
            states.append(json.loads((self.path / "training_state.json").read_text()))

        patch.setattr(TrainingState, "save", save)
        assert train(folder, task, tmp_path / "out").exit_code == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    tables = [json.loads((tmp_path / "out" / "bert_ft.json").read_text())["metrics"]["dev"]]
    tables += [*metrics["train"]["history"], *(entry for state in states for entry in state["history"])]
    tables += [state["best"] for state in states]
    assert len(tables) > 5
    for table in tables:
        assert table
        assert all(isinstance(value, (int, float)) for value in table.values())
    assert set(metrics["dev"]) > set(tables[0])
    assert "per_class" in metrics["dev"] or "per_type" in metrics["dev"]


def test_memory_that_lacks_anywhere_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the scoring after the training, when the model is saved."""

    def failing(*args: Any) -> Iterator[Any]:
        raise MemoryError("Unable to allocate 18.6 GiB")

    assert train(folder, CLASSIFY, tmp_path / "out", "--do_train", "--num_train_epochs=1").exit_code == 0
    monkeypatch.setattr(classification_run, "logits_in_parts", failing)
    error = error_of(train(folder, CLASSIFY, tmp_path / "out", "--do_eval"))
    assert error == "error: not enough memory (Unable to allocate 18.6 GiB)"
