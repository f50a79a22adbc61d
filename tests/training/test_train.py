"""Training from Python, held against the command."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bert_ft.errors import BertFtError
from bert_ft.tasks.train import TrainingResult
from bert_ft.tasks.train import train as train_from_python
from bert_ft.training.kinds import OptionError
from bert_ft.training.step import Trainer
from tests.small_training import CLASSIFY, TAG, interrupt_at, train, write_data

SHORT = {"train_batch_size": 8, "num_train_epochs": 1, "learning_rate": 1e-3}
OWN = {
    "tsv": {"labels": ["0", "1", "2"], "test_file": "dev.tsv", "do_train": True, "do_eval": True, "do_predict": True},
    "ner": {"train_file": "train.jsonl", "dev_file": Path("dev.jsonl"), "head": "crf", "freeze_epochs": 0.5},
}
FLAGS = {
    "tsv": [*CLASSIFY, "--labels=0,1,2", "--test_file=dev.tsv", "--do_train", "--do_eval", "--do_predict"],
    "ner": [*TAG, "--head=crf", "--freeze_epochs=0.5"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("python")
    write_data(path)
    return path


def run(folder: Path, task: str, output: Path | str, **options: Any) -> TrainingResult:
    own = {**SHORT, **OWN[task], **options}
    return train_from_python(task, data_dir=folder, init_checkpoint=folder / "start", output_dir=output, **own)


def contents(folder: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    metrics = json.loads(files["metrics.json"])
    del metrics["train"]["seconds"]
    return {**files, "metrics.json": json.dumps(metrics).encode()}


@pytest.mark.parametrize("task", ["tsv", "ner"])
def test_it_leaves_what_the_command_leaves(
    folder: Path, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("command", "python"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "command")
    done = train(folder, FLAGS[task], Path("out"), "--num_train_epochs=1")
    assert done.exit_code == 0, done.output
    monkeypatch.chdir(tmp_path / "python")
    result = run(folder, task, "out")
    assert contents(tmp_path / "python" / "out") == contents(tmp_path / "command" / "out")
    assert (result.output_dir, result.status) == (Path("out"), 0)
    assert result.metrics == json.loads(Path("out", "metrics.json").read_text())
    said = capfd.readouterr()
    assert said.out == done.stdout
    assert "step 7: dev" in said.err
    assert "training: 100%" in said.err


def test_quiet_says_nothing_and_logging_is_as_it_was(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("bert_ft")
    before = logger.handlers, logger.level, logger.propagate
    assert run(folder, "ner", tmp_path / "out", quiet=True).metrics["dev"]["support"] == 24
    assert capfd.readouterr() == ("", "")
    assert (logger.handlers, logger.level, logger.propagate) == before


def test_ctrl_c_saves_and_is_told_by_the_status(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        result = run(folder, "tsv", tmp_path / "out")
    assert result.status == 130
    assert result.metrics["train"]["steps"] == 4
    assert "dev" not in result.metrics
    assert run(folder, "tsv", tmp_path / "out", resume=True).metrics["train"]["steps"] == 7


def test_another_thread_trains_and_leaves_signals_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Any] = []
    plain = Trainer.step

    def step(self: Trainer, *args: Any, **kwargs: Any) -> float:
        handlers.append(signal.getsignal(signal.SIGINT))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "step", step)
    results: list[TrainingResult] = []
    thread = threading.Thread(target=lambda: results.append(run(folder, "tsv", tmp_path / "out", quiet=True)))
    thread.start()
    thread.join()
    assert [result.status for result in results] == [0]
    assert handlers == [signal.getsignal(signal.SIGINT)] * 7


@pytest.mark.parametrize(
    ("task", "options", "line"),
    [
        ("tsv", {"lerning_rate": 1}, "task tsv has no option lerning_rate; did you mean learning_rate?"),
        ("ner", {"text_column": 1}, "task ner has no option text_column; "),
        ("nre", {}, "task_name 'nre' is not one of emotion, intentdetection, "),
        (3, {}, "task_name 3 is not a string"),
        ("tsv", {"learning_rate": math.nan}, "learning_rate nan is not a number in the range 0<x<=1000"),
        ("tsv", {"learning_rate": 10**400}, "learning_rate 1"),
        ("tsv", {"max_seq_length": 64.0}, "max_seq_length 64.0 is not an integer in the range 1<=x<=2147483647"),
        ("tsv", {"max_seq_length": True}, "max_seq_length True is not an integer"),
        ("tsv", {"seed": None}, "seed None is not an integer"),
        ("tsv", {"do_train": "false"}, "do_train 'false' is not True or False"),
        ("tsv", {"output_dir": " "}, "output_dir ' ' is not a path"),
        ("tsv", {"labels": [0, 1]}, "labels [0, 1] is not a list of names"),
        ("tsv", {"on_bad_row": "stop"}, "on_bad_row 'stop' is not one of error, skip"),
        ("ner", {"holdout": 1}, "holdout 1 is not a number in the range 0<=x<1"),
        ("ner", {"freeze_layers": -1}, "freeze_layers -1 is not an integer in the range 0<=x"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_done(task: str, options: dict[str, Any], line: str) -> None:
    with pytest.raises(OptionError) as caught:
        train_from_python(task, **options)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_options_that_exclude_each_other_are_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match="nothing to do"):
        run(folder, "ner", tmp_path, do_train=False)
    with pytest.raises(BertFtError, match="give --do_train too"):
        run(folder, "ner", tmp_path, resume=True, do_eval=True)


def test_a_fault_of_the_training_is_raised(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"nothing\.tsv"):
        run(folder, "tsv", tmp_path / "out", train_file="nothing.tsv")
    assert not (tmp_path / "out").exists()


def test_neither_click_nor_a_command_line_is_needed(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["click"] = None
sys.argv = ["program", "--no", "flags"]
from bert_ft.tasks.train import train
assert "tensorflow" not in sys.modules
data = {str(folder)!r}
train("tsv", data_dir=data, init_checkpoint=data + "/start", output_dir="out", num_train_epochs=1)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "bert_ft.json").is_file()
