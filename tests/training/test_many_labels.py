"""Thousands of labels: nothing grows with their square, or with labels times texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, f1_score, log_loss

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.commands import main as cli
from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.inference import logits as scoring
from bert_ft.inference.logits import logits_in_parts, predict_logits
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.trainable import BertModel
from bert_ft.shown import first_of
from bert_ft.tasks.classification.examples import read_split
from bert_ft.tasks.classification.files import TASKS
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.small_training import CLASSIFY, WORDS, train, write_data

LABELS = 3000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training data with 3,000 labels; test data of 30 rows and as many different labels."""
    path = tmp_path_factory.mktemp("labels")
    write_data(path)
    rng = np.random.default_rng(5)
    rows = [f"label {number}\t{''.join(rng.choice(WORDS, 5))}\n" for number in range(LABELS)]
    (path / "train.tsv").write_text("".join(rows), encoding="utf-8")
    for name in ("dev.tsv", "test.tsv"):
        (path / name).write_text("".join(rng.choice(rows, 30, replace=False)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def output(folder: Path) -> Path:
    """Trained and scored with parts of 5 texts."""
    output = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_PART_VALUES", 5 * LABELS)
        flags = ["--do_train", "--do_eval", "--do_predict", "--num_train_epochs=0.02", "--predict_batch_size=2"]
        done = train(folder, CLASSIFY, output, *flags, "--eval_batch_size=2")
    assert done.exit_code == 0, done.output
    assert "label 0 | label 1 | label 10 | " in done.stderr
    assert f" and {LABELS - 20} more" in done.stderr
    assert all(len(line) < 2000 for line in done.stderr.splitlines())
    return output


def probabilities(output: Path, rows: list[list[str]]) -> np.ndarray:
    """Softmax of each text alone, float64 [N, labels]."""
    opened = open_model_directory(output)
    head = ClassificationHead(LABELS)
    weights = CheckpointReader(opened.checkpoint).load(encoder_shapes(opened.config) | head.shapes(opened.config))
    model = BertModel(opened.config, head, weights)
    inputs = InputBuilder(FullTokenizer(Vocab.load(opened.vocab_file), True), 128)
    logits = [model.head_logits(pack(inputs.texts([text])))[0].astype(np.float64) for _, text in rows]
    return np.array([np.exp(row) / np.exp(row).sum() for row in logits])


def test_parts_give_the_scores_and_the_file_of_the_whole(folder: Path, output: Path) -> None:
    rows = [line.split("\t") for line in (folder / "test.tsv").read_text(encoding="utf-8").splitlines()]
    expected = probabilities(output, rows)
    written = np.loadtxt(output / "test_results.tsv", delimiter="\t")
    np.testing.assert_allclose(written, expected, rtol=1e-4)
    labels = json.loads((output / "bert_ft.json").read_text(encoding="utf-8"))["labels"]
    ids = np.array([labels.index(label) for label, _ in rows])
    found = written.argmax(axis=1)
    scores = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["test"]
    every = list(range(LABELS))
    assert scores["loss"] == pytest.approx(log_loss(ids, written / written.sum(1, keepdims=True), labels=every))
    assert scores["accuracy"] == accuracy_score(ids, found)
    for mean in ("macro", "weighted"):
        wanted = f1_score(ids, found, labels=every, average=mean, zero_division=0)
        assert scores[f"{mean}_f1"] == pytest.approx(wanted)
    assert len(scores["most_confused"]) <= 30


def test_the_records_do_not_grow_with_the_square(output: Path) -> None:
    for name in ("bert_ft.json", "metrics.json"):
        assert (output / name).stat().st_size < 250 * LABELS


def test_inspect_and_an_unknown_label_show_the_first(folder: Path, output: Path) -> None:
    done = CliRunner().invoke(cli.main, ["inspect", str(output)])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("head")]
    assert line.startswith(f"head        classification, {LABELS} labels: label 0, label 1, label 10, ")
    assert line.endswith(f" and {LABELS - 20} more")
    assert line.count("label ") == 20
    (folder / "odd").mkdir()
    (folder / "odd" / "dev.tsv").write_text("label x\t一\n")
    with pytest.raises(BertFtError, match=rf"unknown label 'label x' \(known: 0, 1, .* and {LABELS - 20} more\)"):
        read_split(folder / "odd", TASKS["emotion"].dev, list(map(str, range(LABELS))), BadRows())


def test_predict_answers_in_parts(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_PART_VALUES", 5 * LABELS)
    rows = [line.split("\t") for line in (folder / "test.tsv").read_text(encoding="utf-8").splitlines()]
    (folder / "texts.txt").write_text("".join(f"{text}\n" for _, text in rows), encoding="utf-8")
    target = folder / "answers.jsonl"
    flags = [f"--model_dir={output}", f"--input={folder}/texts.txt", f"--output={target}", "--batch_size=3"]
    done = CliRunner().invoke(cli.main, ["predict", *flags])
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [answer["text"] for answer in answers] == [text for _, text in rows]
    found = np.array([list(answer["scores"].values()) for answer in answers])
    np.testing.assert_allclose(found, probabilities(output, rows), rtol=1e-4)


def test_no_more_scores_are_held_than_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.training.test_training import CLASSES, new_model, random_rows

    monkeypatch.setattr(scoring, "_PART_VALUES", 3 * CLASSES)
    model, rows = new_model(), random_rows(10).features
    parts = list(logits_in_parts(model, rows, 2))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert [len(part) for part in logits_in_parts(model, rows, 8)] == [8, 2]
    np.testing.assert_allclose(np.concatenate(parts), predict_logits(model, rows, 10), atol=1e-5)


def test_the_first_of_some_names() -> None:
    assert first_of(["a", "b"]) == "a, b"
    assert first_of(list("abcd"), " | ", maximum=2) == "a | b and 2 more"
