"""SIGKILL at random moments of a training that saves most of the time."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.model.heads import ClassificationHead
from tests.small_training import CLASSIFY, arguments, write_data

EPOCHS = 20
KILLS = 5
DATA_FILE = "bert_model.ckpt.data-00000-of-00001"

# its server has TensorFlow imported once, and its children are not forked beside threads
CONTEXT = multiprocessing.get_context("forkserver")


def train_in_child(folder: Path, output: Path, resume: bool) -> None:
    """Train so that nearly every epoch is the best so far, and note what is saved at which step."""
    from bert_ft import run_classifier
    from bert_ft.tasks.classification import run as classification_run
    from bert_ft.tasks.classification.tally import ClassificationTally
    from bert_ft.training import fine_tune

    def score(self: ClassificationTally) -> dict[str, float]:
        loss = plain_score(self)["loss"]
        return {"loss": loss, "accuracy": -loss}

    def save(path: Path, *rest: Any) -> None:
        plain_save(path, *rest)
        digest = hashlib.sha256((path / DATA_FILE).read_bytes()).hexdigest()
        with (folder / f"{output.name}.saved").open("a") as file:
            file.write(f"{rest[-1].metrics['step']} {digest} {time.monotonic()}\n")

    plain_save, plain_score = fine_tune.save_model_directory, ClassificationTally.scores
    tally: Any = ClassificationTally
    task: Any = classification_run
    shared: Any = fine_tune
    tally.scores = score
    task._report = lambda path, scores: ""
    shared.save_model_directory = save
    flags = ["--dev_file=train.tsv", f"--num_train_epochs={EPOCHS}", "--save_checkpoints_steps=3"]
    if resume:
        flags.append("--resume")
    run_classifier.main([*arguments(folder, output), *CLASSIFY, *flags])


def start(folder: Path, output: Path, resume: bool) -> Any:
    process = CONTEXT.Process(target=train_in_child, args=(folder, output, resume), daemon=True)
    process.start()
    return process


def saved_step(output: Path) -> int:
    try:
        return json.loads((output / "training_state" / "training_state.json").read_text())["steps"]
    except FileNotFoundError:
        return 0


def saved_models(folder: Path, output: Path) -> tuple[dict[int, str], float]:
    """Digests of what was saved, by step, and the seconds between two savings."""
    lines = [line.split() for line in (folder / f"{output.name}.saved").read_text().splitlines()]
    between = (float(lines[-1][2]) - float(lines[0][2])) / (len(lines) - 1)
    return {int(step): digest for step, digest, _ in lines}, between


def assert_whole(output: Path) -> int:
    """Returns the step whose weights the directory holds."""
    opened = open_model_directory(output)
    assert opened.metadata is not None
    shapes = encoder_shapes(opened.config) | ClassificationHead(3).shapes(opened.config)
    CheckpointReader(opened.checkpoint).load(shapes)
    return opened.metadata.metrics["step"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    CONTEXT.set_forkserver_preload(["bert_ft.tasks.classification.run"])
    write_data(tmp_path)
    yield tmp_path
    for child in multiprocessing.active_children():
        child.kill()


def test_a_training_that_is_killed_again_and_again_ends_as_an_unbroken_one(folder: Path) -> None:
    (folder / "out").mkdir()
    whole, broken = folder / "out" / "whole", folder / "out" / "broken"
    unbroken = start(folder, whole, resume=False)
    unbroken.join(120)
    assert unbroken.exitcode == 0
    models, between = saved_models(folder, whole)
    assert len(models) > EPOCHS / 2

    chance = random.Random(1)
    for _ in range(KILLS):
        reached = saved_step(broken)
        process = start(folder, broken, resume=reached > 0)
        deadline = time.monotonic() + 60
        while saved_step(broken) == reached and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.5 * between))
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        assert saved_step(broken) > reached
        if (broken / "bert_ft.json").exists():
            step = assert_whole(broken)
            assert hashlib.sha256((broken / DATA_FILE).read_bytes()).hexdigest() == models[step]
    last = start(folder, broken, resume=True)
    last.join(120)
    assert last.exitcode == 0
    assert assert_whole(broken) == assert_whole(whole)
    assert (whole / DATA_FILE).read_bytes() == (broken / DATA_FILE).read_bytes()
    assert sorted(os.listdir(whole)) == sorted(os.listdir(broken))
    assert sorted(os.listdir(folder / "out")) == ["broken", "whole"]
