"""Trainings of a second or two: random texts, a network of two narrow layers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bert_ft import run_classifier, run_ner
from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.export import new_checkpoint
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.training.step import Trainer

WORDS = [chr(0x4E00 + index) for index in range(40)]
STEPS_PER_EPOCH = 7

CLASSIFY = ["--task_name=tsv"]
TAG = ["--task_name=ner", "--train_file=train.jsonl", "--dev_file=dev.jsonl"]


def write_data(folder: Path) -> None:
    """56 texts to train on and 24 to score, with labels (.tsv) and entities (.jsonl), and the checkpoint ``start``."""
    vocab = folder / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
    config = BertConfig(45, 16, 2, 2, 32, max_position_embeddings=128, type_vocab_size=2, initializer_range=0.3)
    new_checkpoint(folder / "start", config, vocab, True, seed=1)
    rng = np.random.default_rng(0)
    for split, count in (("train", 56), ("dev", 24)):
        texts = ["".join(rng.choice(WORDS, rng.integers(3, 12))) for _ in range(count)]
        rows = [f"{rng.integers(3)}\t{text}\n" for text in texts]
        (folder / f"{split}.tsv").write_text("".join(rows), encoding="utf-8")
        spans = [{"text": text, "entities": [{"start": 0, "end": 2, "type": "x"}]} for text in texts]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in spans))


def arguments(folder: Path, output: Path) -> list[str]:
    """The flags that all of these trainings share; later ones go before."""
    return [
        f"--data_dir={folder}", f"--init_checkpoint={folder}/start", f"--output_dir={output}",
        "--train_batch_size=8", "--num_train_epochs=3", "--learning_rate=1e-3",
    ]  # fmt: skip


def train(folder: Path, task: list[str], output: Path, *flags: str) -> Result:
    command = run_ner.main if task[0] == TAG[0] else run_classifier.main
    return CliRunner().invoke(command, [*arguments(folder, output), *task, *flags])


def variables(output: Path) -> dict[str, bytes]:
    """Of the model in a directory."""
    reader = CheckpointReader(output / "bert_model.ckpt")
    return {name: reader.read(name).tobytes() for name in reader.shapes}


def history(output: Path) -> list[dict[str, Any]]:
    """Of the evaluations of a training."""
    return json.loads((output / "metrics.json").read_text())["train"]["history"]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C while a step is under way."""
    plain = Trainer.step

    def interrupted(self: Trainer, at: int, *args: Any, **kwargs: Any) -> float:
        if at == step:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, at, *args, **kwargs)

    monkeypatch.setattr(Trainer, "step", interrupted)


def error_of(done: Result) -> str:
    """The one line that a failed command says."""
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]
