"""Two trainings with one output directory: the second is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bert_ft.errors import BertFtError
from bert_ft.files.lock import locked_output
from bert_ft.training.step import Trainer
from tests.small_training import CLASSIFY, TAG, error_of, train, write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lock")
    write_data(path)
    return path


def is_held(output: Path) -> bool:
    try:
        with locked_output(output):
            return False
    except BertFtError:
        return True


@pytest.mark.parametrize("task", [CLASSIFY, TAG], ids=["classify", "tag"])
def test_it_is_held_from_the_first_step_to_the_last_score(
    folder: Path, tmp_path: Path, task: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is saved, and the directory exchanged for another, after steps 7, 14 and 21."""
    plain = Trainer.step
    held: list[bool] = []

    def step(self: Trainer, *args: Any, **kwargs: Any) -> float:
        held.append(is_held(tmp_path / "out"))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "step", step)
    done = train(folder, task, tmp_path / "out", "--save_checkpoints_steps=2")
    assert done.exit_code == 0, done.output
    assert held == [True] * 21
    assert not is_held(tmp_path / "out")
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("flags", [[], ["--resume"], ["--do_train"]])
def test_a_second_training_is_one_line_and_touches_nothing(folder: Path, tmp_path: Path, flags: list[str]) -> None:
    output = tmp_path / "out"
    with locked_output(output):
        (output / "training_state").mkdir()
        error = error_of(train(folder, CLASSIFY, output, *flags))
        assert f"{output}: another training is at work there" in error
        assert (output / "training_state").is_dir()
        assert is_held(output)


def test_a_killed_training_holds_nothing(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from bert_ft.files.lock import locked_output
with locked_output(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_held(tmp_path)
    holder.kill()
    holder.communicate()
    assert not is_held(tmp_path)


def test_a_training_that_fails_leaves_no_directory_behind(folder: Path, tmp_path: Path) -> None:
    assert "nothing.tsv" in error_of(train(folder, CLASSIFY, tmp_path / "out", "--train_file=nothing.tsv"))
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_said_before_any_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    assert "cannot be written" in error_of(train(folder, CLASSIFY, tmp_path / "out"))


def test_never_two_at_a_time_though_the_file_comes_and_goes(tmp_path: Path) -> None:
    """A file that was removed between its opening and its locking is no lock."""
    inside, maximum, turns = [0], [0], [0]

    def work() -> None:
        for _ in range(300):
            try:
                with locked_output(tmp_path / "out"):
                    inside[0] += 1
                    maximum[0] = max(maximum[0], inside[0])
                    turns[0] += 1
                    threading.Event().wait(0.0001)
                    inside[0] -= 1
            except BertFtError:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert maximum == [1]
    assert turns[0] > 10
