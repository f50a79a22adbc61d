"""A training on a full disk, and one whose numbers run away: one line, and what was there before is whole."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_ft.checkpoint.writer import write_checkpoint
from bert_ft.errors import BertFtError
from bert_ft.files.lock import LOCK_FILE
from bert_ft.model.backend import tf
from bert_ft.model.heads import ClassificationHead
from bert_ft.training.result_files import write_eval_results, write_json, write_test_results
from bert_ft.training.step import Trainer
from tests.small_training import CLASSIFY, TAG, error_of, train, write_data
from tests.training.test_training import new_model, random_rows
from tests.training.test_training import train as fit_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults")
    write_data(path)
    return path


@contextmanager
def limit_put_back() -> Iterator[tuple[int, int]]:
    """The limit as it was: pytest's own output may be a file that is larger than what a test allows."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond ``size`` bytes, as it does on a full disk: EFBIG for ENOSPC."""
    with limit_put_back() as before:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield


@contextmanager
def no_file_beyond_at_steps(monkeypatch: pytest.MonkeyPatch, first: int, last: int, size: int) -> Iterator[None]:
    """The same, from the first step given to the last or to the end of the training."""
    plain = Trainer.step
    with limit_put_back() as unlimited:

        def limited(self: Trainer, number: int, *args: Any, **kwargs: Any) -> float:
            if number == first:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
            if number == last:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
            return plain(self, number, *args, **kwargs)

        monkeypatch.setattr(Trainer, "step", limited)
        yield


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK_FILE)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_model_that_cannot_be_written_is_one_line_and_the_old_one_stays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(folder, CLASSIFY, tmp_path / "out", "--do_train", "--num_train_epochs=1").exit_code == 0
    before = contents(tmp_path / "out")
    other = ["--do_train", "--num_train_epochs=1", "--seed=2", "--overwrite"]
    with no_file_beyond_at_steps(monkeypatch, 6, 99, 5_000):
        done = train(folder, CLASSIFY, tmp_path / "out", *other)
    assert error_of(done).endswith(f"{tmp_path / 'out'}: the model could not be written (File too large)")
    assert contents(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_state_that_cannot_be_written_is_a_warning(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between steps 9 and 11 nothing but the state is written."""
    with no_file_beyond_at_steps(monkeypatch, 9, 11, 5_000):
        done = train(folder, CLASSIFY, tmp_path / "out", "--do_train", "--save_checkpoints_steps=10")
    assert done.exit_code == 0, done.output
    fault = "training_state: the state could not be written (File too large); the one of step 7 is kept"
    assert done.stderr.count(fault) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("text", ["No space left on device", "Disk quota exceeded"])
@pytest.mark.parametrize("kind", [tf.errors.ResourceExhaustedError, tf.errors.UnknownError])
def test_tensorflows_own_error_of_a_full_disk_is_one_of_the_system(
    tmp_path: Path, text: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**kwargs: Any) -> None:
        raise kind(None, None, f"{tmp_path}/x.data; {text} [Op:SaveV2]")

    monkeypatch.setattr(tf.raw_ops, "SaveV2", full)
    with pytest.raises(OSError, match=text) as caught:
        write_checkpoint(tmp_path / "x", {"x": np.zeros(3, np.float32)})
    assert caught.value.strerror == text


def test_a_result_file_that_cannot_be_written_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    writes = {
        "eval_results.txt": lambda path: write_eval_results(path, {"eval_accuracy": 0.5, "eval_loss": 0.25}),
        "metrics.json": lambda path: write_json(path, {"numbers": list(range(100))}),
        "test_results.tsv": lambda path: write_test_results(path, np.zeros((50, 3))),
    }
    for name, write in writes.items():
        path = tmp_path / name
        path.write_text("before")
        with no_file_beyond(10), pytest.raises(BertFtError, match=rf"{name}: cannot be written \(File too large\)"):
            write(path)
        assert path.read_text() == "before"
        write(path)
        assert path.read_text() != "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(writes)


@pytest.mark.parametrize("task", [CLASSIFY, TAG], ids=["classify", "tag"])
def test_a_loss_that_is_no_number_leaves_the_best_directory(
    folder: Path, tmp_path: Path, task: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Trainer.step
    before: dict[str, bytes] = {}

    def diverged(self: Trainer, number: int, *args: Any, **kwargs: Any) -> float:
        if number == 9:
            before.update(contents(tmp_path / "out"))
            self.model.variables["output_bias"].assign(self.model.variables["output_bias"] * np.nan)
        return plain(self, number, *args, **kwargs)

    monkeypatch.setattr(Trainer, "step", diverged)
    error = error_of(train(folder, task, tmp_path / "out"))
    assert "the loss is nan at step 9 with learning rate 0.00" in error
    assert error.count(f"{'train.tsv' if task == CLASSIFY else 'train.jsonl'}:") == 8
    assert contents(tmp_path / "out") == before
    assert json.loads(before["bert_ft.json"])["metrics"]["step"] == 7


def test_a_gradient_that_is_no_number_stops_before_its_weights_are_kept() -> None:
    """The loss is finite, its gradient is not: square root at 0."""
    model, data = new_model(), random_rows(4)
    model.head = _RootHead(4)
    with pytest.raises(BertFtError, match=r"the norm of the gradient is (nan|inf) at step 0 with .* row \d"):
        fit_rows(model, data, steps=1, batch_size=2)


def test_a_loss_that_is_no_number_stops_though_its_gradient_is_one() -> None:
    model, data = new_model(), random_rows(4)
    model.head = _BottomlessHead(4)
    with pytest.raises(BertFtError, match=r"the loss is inf at step 0 with .* row \d"):
        fit_rows(model, data, steps=1, batch_size=2)


class _BottomlessHead(ClassificationHead):
    def loss(self, weights: Any, logits: Any, labels: Any, batch: Any) -> Any:
        return tf.reduce_mean(logits) + np.inf


class _RootHead(ClassificationHead):
    def loss(self, weights: Any, logits: Any, labels: Any, batch: Any) -> Any:
        return tf.sqrt(tf.reduce_sum(logits) * 0.0)
