from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2

from bert_ft.tasks.tagging.schemes import tags_of
from bert_ft.tasks.tagging.span_metrics import cluener_score, span_metrics, token_accuracy
from bert_ft.text.spans import Span
from tests.tasks.tagging.support import spans_over

Sentence = tuple[int, list[Span], list[Span]]
sentences = st.lists(
    st.integers(1, 10).flatmap(lambda n: st.tuples(st.just(n), spans_over(n, "xyz"), spans_over(n, "wxy"))),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(sentences)
def test_scores_equal_seqevals_in_strict_mode(drawn: list[Sentence]) -> None:
    units = [[(i, i + 1) for i in range(count)] for count, _, _ in drawn]
    gold = [spans for _, spans, _ in drawn]
    found = [spans for _, _, spans in drawn]
    gold_tags = [tags_of(spans, places) for spans, places in zip(gold, units, strict=True)]
    found_tags = [tags_of(spans, places) for spans, places in zip(found, units, strict=True)]
    ours = span_metrics(gold, found)
    assert token_accuracy(gold_tags, found_tags) == pytest.approx(accuracy_score(gold_tags, found_tags))
    if not ours["per_type"]:
        return  # seqeval divides by the number of types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scores set to 0
        theirs = classification_report(gold_tags, found_tags, output_dict=True, mode="strict", scheme=IOB2)
    for mean in ("micro", "macro"):
        expected = theirs.pop(f"{mean} avg")
        assert ours[f"{mean}_precision"] == pytest.approx(expected["precision"])
        assert ours[f"{mean}_recall"] == pytest.approx(expected["recall"])
        assert ours[f"{mean}_f1"] == pytest.approx(expected["f1-score"])
        assert ours["support"] == expected["support"]
    del theirs["weighted avg"]
    assert ours["per_type"].keys() == theirs.keys()
    for kind, expected in theirs.items():
        f1 = expected.pop("f1-score")
        assert ours["per_type"][kind] == pytest.approx({**expected, "f1": f1})


def test_a_small_case_worked_out_by_hand() -> None:
    gold = [[Span("a", 0, 2), Span("b", 3, 4)], [Span("a", 0, 1)]]
    found = [[Span("a", 0, 2), Span("a", 3, 4)], [Span("a", 0, 2)]]
    scores = span_metrics(gold, found)
    assert scores["per_type"]["a"] == {"precision": 1 / 3, "recall": 0.5, "f1": pytest.approx(0.4), "support": 2}
    assert scores["per_type"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert scores["micro_f1"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx(0.2)
    json.dumps(scores)


def test_nothing_to_find_and_nothing_found() -> None:
    scores = span_metrics([[], []], [[], []])
    assert (scores["micro_f1"], scores["macro_f1"], scores["support"], scores["per_type"]) == (0.0, 0.0, 0, {})
    assert token_accuracy([[]], [[]]) == 0.0


def test_cluener_compares_surfaces_and_not_places() -> None:
    texts = ["叶老桂见叶老桂", "北京银行"]
    gold = [[Span("name", 0, 3), Span("name", 4, 7)], [Span("company", 0, 4)]]
    # One of two places is enough; the wrong surface is one false and one missed; "city" is not in gold.
    found = [[Span("name", 4, 7)], [Span("company", 2, 4), Span("city", 0, 2)]]
    scores = cluener_score(texts, gold, found)
    assert scores["per_type"] == {"city": 0.0, "company": 0.0, "name": 1.0}
    assert scores["cluener_f1"] == pytest.approx(1 / 3)
    assert span_metrics(gold, found)["per_type"]["name"]["recall"] == 0.5
    json.dumps(scores)


def test_cluener_keeps_the_texts_apart() -> None:
    gold = [[Span("name", 0, 1)], [Span("name", 0, 1)], []]
    found = [[Span("name", 0, 1)], [], [Span("name", 0, 1)]]
    assert cluener_score(["甲", "甲", "甲"], gold, found)["cluener_f1"] == pytest.approx(0.5)
