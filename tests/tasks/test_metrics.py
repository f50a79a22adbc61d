from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from bert_ft.numerics import softmax
from bert_ft.tasks.classification.metrics import class_scores, classification_scores, most_confused
from bert_ft.tasks.classification.tally import ClassificationTally, cross_entropies
from bert_ft.training.result_files import write_eval_results, write_test_results


def test_scores_of_a_small_case_worked_out_by_hand() -> None:
    expected, predicted, labels = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), ["a", "b", "c"]
    scores = classification_scores(expected, predicted, 3)
    assert scores["accuracy"] == 0.5
    # a: P 1, R 1/2, F 2/3; b: P 1/3, R 1, F 1/2; c: nothing right
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores["weighted_f1"] == pytest.approx((2 * 2 / 3 + 1 / 2 + 0) / 4)
    per_class = class_scores(expected, predicted, labels)
    assert per_class["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert most_confused(expected, predicted, labels) == [
        {"expected": "a", "predicted": "b", "count": 1},
        {"expected": "c", "predicted": "b", "count": 1},
    ]
    json.dumps([scores, per_class, most_confused(expected, predicted, labels)])


def test_a_class_that_is_absent_counts_in_the_macro_mean() -> None:
    expected = np.array([0, 0])
    assert classification_scores(expected, expected, 2)["macro_f1"] == 0.5
    assert class_scores(expected, expected, ["a", "b"])["b"]["support"] == 0
    assert most_confused(expected, expected, ["a", "b"]) == []


@pytest.mark.parametrize("classes", [2, 9, 60])
def test_scores_of_parts_are_sklearns_of_the_whole(classes: int) -> None:
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(500, classes)).astype(np.float32)
    expected = rng.integers(0, classes - 1, 500).astype(np.int32)  # one class is never expected
    logits[np.arange(500), expected] += 1
    labels = [f"class {index}" for index in range(classes)]
    tally = ClassificationTally(expected, labels)
    for part in np.split(logits, [1, 64, 300]):
        tally.add(part)
    ids, found = list(range(classes)), logits.argmax(-1)
    assert tally.scores() == pytest.approx(
        {
            "loss": log_loss(expected, softmax(logits.astype(np.float64)), labels=ids),
            "accuracy": accuracy_score(expected, found),
            "macro_f1": f1_score(expected, found, labels=ids, average="macro", zero_division=0),
            "weighted_f1": f1_score(expected, found, labels=ids, average="weighted", zero_division=0),
        },
        rel=1e-12,
    )
    columns = precision_recall_fscore_support(expected, found, labels=ids, zero_division=0)
    details = tally.details()
    for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert [details["per_class"][label][name] for label in labels] == pytest.approx(list(column))
    matrix = confusion_matrix(expected, found, labels=ids)
    np.fill_diagonal(matrix, 0)
    cells = sorted((-matrix[row, column], row, column) for row in ids for column in ids if matrix[row, column])
    assert details["most_confused"] == [
        {"expected": labels[row], "predicted": labels[column], "count": -count} for count, row, column in cells[:100]
    ]


def test_a_million_labels_take_no_more_than_their_number() -> None:
    """Their confusion matrix would take 8 TB."""
    expected, predicted = np.array([0, 999_999, 999_999]), np.array([0, 5, 5])
    labels = list(map(str, range(10**6)))
    assert most_confused(expected, predicted, labels) == [{"expected": "999999", "predicted": "5", "count": 2}]
    assert classification_scores(expected, predicted, 10**6)["macro_f1"] == pytest.approx(1e-6)


def test_probabilities_and_loss_of_large_logits_are_finite() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(softmax(logits.astype(np.float64)), [[1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(cross_entropies(logits, np.array([0, 1])), [0, np.log(2)])


def test_result_files_are_in_googles_form(tmp_path: Path) -> None:
    write_eval_results(tmp_path / "eval_results.txt", {"loss": 0.5, "eval_accuracy": 1.0, "global_step": 3})
    assert (tmp_path / "eval_results.txt").read_text() == "eval_accuracy = 1.0\nglobal_step = 3\nloss = 0.5\n"
    write_test_results(tmp_path / "test_results.tsv", iter(np.array([[0.25, 0.75], [1.0, 1e-9]], np.float32)))
    assert (tmp_path / "test_results.tsv").read_text() == f"0.25\t0.75\n1.0\t{float(np.float32(1e-9))!r}\n"
