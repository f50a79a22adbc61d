from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bert_ft.tasks.classification import classification_scores, mean_cross_entropy
from bert_ft.train.metrics import classification_metrics
from bert_ft.train.results import write_eval_results, write_test_results


def test_scores_of_a_small_case_worked_out_by_hand() -> None:
    scores = classification_metrics(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), ["a", "b", "c"])
    assert scores["accuracy"] == 0.5
    assert scores["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    # a: P 1, R 1/2, F 2/3; b: P 1/3, R 1, F 1/2; c: nothing right
    assert scores["per_class"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores["weighted_f1"] == pytest.approx((2 * 2 / 3 + 1 / 2 + 0) / 4)
    json.dumps(scores)


def test_a_class_that_is_absent_counts_in_the_macro_mean() -> None:
    scores = classification_metrics(np.array([0, 0]), np.array([0, 0]), ["a", "b"])
    assert scores["macro_f1"] == 0.5
    assert scores["per_class"]["b"]["support"] == 0


def test_probabilities_and_loss_of_large_logits_are_finite() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(classification_scores(logits), [[1, 0], [0.5, 0.5]])
    assert mean_cross_entropy(logits, np.array([0, 1])) == pytest.approx(np.log(2) / 2)


def test_result_files_are_in_googles_form(tmp_path: Path) -> None:
    write_eval_results(tmp_path / "eval_results.txt", {"loss": 0.5, "eval_accuracy": 1.0, "global_step": 3})
    assert (tmp_path / "eval_results.txt").read_text() == "eval_accuracy = 1.0\nglobal_step = 3\nloss = 0.5\n"
    write_test_results(tmp_path / "test_results.tsv", np.array([[0.25, 0.75]], np.float32))
    assert (tmp_path / "test_results.tsv").read_text() == "0.25\t0.75\n"
