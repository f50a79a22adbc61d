"""Training that is broken off and resumed, held against the same training unbroken."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_ft.checkpoint.directory import ModelMetadata, open_model_directory
from bert_ft.training import fine_tune
from bert_ft.training import training_state as state
from bert_ft.training.loop import FitResult
from bert_ft.training.starting_point import StartingPoint
from bert_ft.training.step import Trainer
from tests.small_training import CLASSIFY, TAG, error_of, history, interrupt_at, train, variables, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resume")
    write_data(path)
    return path


@pytest.fixture
def last_weights(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """Every variable and moment at the end of each training that ends."""
    ends: list[dict[str, bytes]] = []
    trainers: list[Trainer] = []
    make, fit = Trainer.__init__, fine_tune.fit

    def remembered(self: Trainer, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        trainers.append(self)

    def recorded(*args: Any, **kwargs: Any) -> FitResult:
        result = fit(*args, **kwargs)
        whole = {**trainers[-1].model.variables, **trainers[-1].optimizer.slots}
        ends.append({name: variable.numpy().tobytes() for name, variable in whole.items()})
        return result

    monkeypatch.setattr(Trainer, "__init__", remembered)
    monkeypatch.setattr(fine_tune, "fit", recorded)
    return ends


STAGES = ["--head=crf", "--freeze_epochs=1.3", "--freeze_layers=1", "--layer_decay=0.8"]


@pytest.mark.parametrize("task", [CLASSIFY, [*TAG, *STAGES]], ids=["classify", "tag"])
def test_a_broken_training_ends_as_an_unbroken_one(
    folder: Path, tmp_path: Path, task: list[str], last_weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken three times: in the frozen stage, at the very end of an epoch, and after it."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = train(folder, task, whole)
    assert done.exit_code == 0, done.output
    flags: list[str] = []
    for step in (2, 6, 16):
        with monkeypatch.context() as patch:
            interrupt_at(patch, step)
            done = train(folder, task, broken, *flags)
        assert done.exit_code == 130, done.output
        assert f"--resume continues after step {step + 1}" in done.stderr
        open_model_directory(broken)
        flags = ["--resume"]
    done = train(folder, task, broken, "--resume")
    assert done.exit_code == 0, done.output
    assert last_weights[0] == last_weights[-1]
    assert variables(whole) == variables(broken)
    assert history(whole) == history(broken)
    metrics = [json.loads((path / "metrics.json").read_text()) for path in (whole, broken)]
    assert metrics[0]["dev"] == metrics[1]["dev"]
    written = [json.loads((path / "bert_ft.json").read_text()) for path in (whole, broken)]
    for one in written:
        del one["flags"]["output_dir"]
    assert written[0] == written[1]
    assert sorted(os.listdir(whole)) == sorted(os.listdir(broken))
    assert sorted(os.listdir(tmp_path)) == ["broken", "whole"]


def test_early_stopping_counts_across_the_break(
    folder: Path, tmp_path: Path, last_weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_slow = "--learning_rate=1e-9"  # for a better score
    flags = ["--early_stopping=2", too_slow, "--num_train_epochs=9"]
    done = train(folder, TAG, tmp_path / "whole", *flags)
    assert done.exit_code == 0, done.output
    with monkeypatch.context() as patch:
        interrupt_at(patch, 15)
        assert train(folder, TAG, tmp_path / "broken", *flags).exit_code == 130
    done = train(folder, TAG, tmp_path / "broken", *flags, "--resume")
    assert "step 21: stopped early" in done.stderr
    assert last_weights[0] == last_weights[-1]
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text())["train"] for name in ("whole", "broken")]
    assert metrics[0]["steps"] == metrics[1]["steps"] == 21
    assert metrics[0]["history"] == metrics[1]["history"]


def test_without_evaluation_the_last_weights_are_those_of_an_unbroken_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(folder, CLASSIFY, tmp_path / "whole", "--do_train").exit_code == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 9)
        assert train(folder, CLASSIFY, tmp_path / "broken", "--do_train").exit_code == 130
    interim = variables(tmp_path / "broken")
    assert train(folder, CLASSIFY, tmp_path / "broken", "--do_train", "--resume").exit_code == 0
    final = [variables(tmp_path / name) for name in ("whole", "broken")]
    assert final[0] == final[1]
    assert interim != final[0]


def test_a_signal_in_an_evaluation_ends_it_at_once_and_it_is_made_up_for(
    folder: Path, tmp_path: Path, last_weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(folder, CLASSIFY, tmp_path / "whole").exit_code == 0
    from bert_ft.tasks.classification import run as classification_run

    plain = classification_run.logits_in_parts

    def interrupted(*args: Any) -> Iterator[np.ndarray]:
        os.kill(os.getpid(), signal.SIGTERM)
        yield from plain(*args)
        pytest.fail("went on")

    with monkeypatch.context() as patch:
        patch.setattr(classification_run, "logits_in_parts", interrupted)
        done = train(folder, CLASSIFY, tmp_path / "broken")
    assert done.exit_code == 143
    assert "interrupted after step 7 of 21" in done.stderr
    assert train(folder, CLASSIFY, tmp_path / "broken", "--resume").exit_code == 0
    assert last_weights[0] == last_weights[-1]
    assert history(tmp_path / "whole") == history(tmp_path / "broken")


class _PowerCutError(BaseException):
    """Ends a training as abruptly as Python can."""


def cut_in_step(step: int, folder: Path, output: Path, *flags: str) -> None:
    plain = Trainer.step

    def cut(self: Trainer, at: int, *args: Any, **kwargs: Any) -> float:
        if at == step:
            raise _PowerCutError
        return plain(self, at, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", cut)
        with pytest.raises(_PowerCutError):
            train(folder, CLASSIFY, output, *flags)


def test_an_evaluation_that_was_made_is_not_made_again(folder: Path, tmp_path: Path) -> None:
    cut_in_step(14, folder, tmp_path / "out")
    done = train(folder, CLASSIFY, tmp_path / "out", "--resume")
    assert "continuing after step 14 of 21" in done.stderr
    assert [entry["step"] for entry in history(tmp_path / "out")] == [7, 14, 21]


@pytest.fixture(scope="module")
def cut_off(folder: Path) -> Path:
    """An output directory whose training was cut off in step 17, its state last saved after step 16."""
    cut_in_step(17, folder, folder / "cut_off", "--save_checkpoints_steps=4")
    return folder / "cut_off"


@pytest.fixture
def unfinished(cut_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_off, tmp_path / "out"))


def test_the_state_is_saved_at_epochs_and_every_so_many_steps(
    folder: Path, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads((unfinished / "training_state" / "training_state.json").read_text())["steps"] == 16
    saved: list[int] = []
    plain = state.TrainingState.save

    def recorded(self: state.TrainingState, result: FitResult, *args: Any) -> None:
        saved.append(result.steps)
        plain(self, result, *args)

    monkeypatch.setattr(state.TrainingState, "save", recorded)
    done = train(folder, CLASSIFY, unfinished, "--resume", "--save_checkpoints_steps=3")
    assert "continuing after step 16 of 21" in done.stderr
    assert saved == [18]
    train(folder, CLASSIFY, unfinished, "--save_checkpoints_steps=10")
    assert saved == [18, 7, 10, 14, 20]
    assert not (unfinished / "training_state").exists()


@pytest.mark.parametrize(
    ("flag", "difference"),
    [
        ("--learning_rate=2e-3", "was saved with --learning_rate 0.001, not 0.002"),
        ("--num_train_epochs=4", "was saved with --num_train_epochs 3.0, not 4.0"),
        ("--seed=7", "was saved with --seed 12345, not 7"),
        ("--max_seq_length=9", "was saved with --max_seq_length 128, not 9"),
        ("--labels=0,1,2,3", "was saved with labels 0, 1, 2, not 0, 1, 2, 3"),
        ("--do_train", "was saved with --do_eval true, not false"),
        ("--train_file=dev.tsv", "was saved with training data of 56 rows"),
        ("--dev_file=train.tsv", "was saved with development data of 24 rows"),
    ],
)
def test_a_state_of_another_training_is_refused(folder: Path, unfinished: Path, flag: str, difference: str) -> None:
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    assert difference in error_of(train(folder, CLASSIFY, unfinished, "--resume", flag))
    assert {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()} == before


def test_resume_without_a_state_is_one_line(folder: Path, tmp_path: Path) -> None:
    assert "has no unfinished training to resume" in error_of(train(folder, CLASSIFY, tmp_path / "none", "--resume"))
    assert train(folder, CLASSIFY, tmp_path / "out", "--num_train_epochs=0.2").exit_code == 0
    assert "only a finished model" in error_of(train(folder, CLASSIFY, tmp_path / "out", "--resume"))
    assert "give --do_train too" in error_of(train(folder, CLASSIFY, tmp_path / "out", "--resume", "--do_eval"))


def test_a_new_training_says_that_it_gives_up_an_unfinished_one(folder: Path, unfinished: Path) -> None:
    done = train(folder, CLASSIFY, unfinished, "--num_train_epochs=1", "--overwrite")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("the unfinished training there is given up") == 1
    assert ModelMetadata.load(unfinished / "bert_ft.json").metrics["step"] == 7
    assert not (unfinished / "training_state").exists()


@pytest.mark.parametrize("name", ["training_state.json", "variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["cut", "absent", "changed"])
def test_a_broken_state_is_one_line(folder: Path, unfinished: Path, name: str, damage: str) -> None:
    path = unfinished / "training_state" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "absent":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + (b"" if damage == "cut" else b"\xff" + content[middle + 1 :]))
    error = error_of(train(folder, CLASSIFY, unfinished, "--resume"))
    assert error.startswith(f"error: {unfinished / 'training_state'}: cannot be resumed from (")
    assert error.endswith("; leave out --resume to start anew")
    assert "copy" not in error
    assert name.partition(".")[0] in error


def test_a_state_of_two_savings_is_refused(folder: Path, unfinished: Path) -> None:
    """Each file is whole, and of the same training."""
    cut_in_step(6, folder, folder / "earlier", "--save_checkpoints_steps=4")
    for path in (folder / "earlier" / "training_state").glob("variables.*"):
        shutil.copy(path, unfinished / "training_state")
    error = error_of(train(folder, CLASSIFY, unfinished, "--resume"))
    assert "variables.index was not written with training_state.json" in error


def test_what_a_kill_left_is_not_taken_for_the_checkpoint_to_start_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("checkpoint", ".out.new-abcd1234", ".other.new-abcd1234"):
        shutil.copytree(folder / "start", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert StartingPoint.resolve(None, None, None, None, Path("out")).checkpoint.parent == Path("checkpoint")


def test_a_state_whose_best_model_is_gone_is_refused(folder: Path, unfinished: Path) -> None:
    (unfinished / "bert_model.ckpt.index").unlink()
    done = train(folder, CLASSIFY, unfinished, "--resume")
    error = error_of(done)
    assert f"cannot be resumed from ({unfinished / 'bert_model.ckpt.index'}: no such file" in error
    assert error.endswith("; leave out --resume to start anew")
    assert "continuing after step" not in done.stderr
