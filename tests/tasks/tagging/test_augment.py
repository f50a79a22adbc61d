from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_ft.tasks.tagging.augment import replace_entities
from bert_ft.tasks.tagging.examples import TaggingExample
from bert_ft.text.boundaries import join_tokens
from bert_ft.text.spans import Span, unit_fault, word_ranges
from tests.tasks.tagging.support import read, spans_over, surfaces
from tests.text.strategies import unicode_texts

RAW = [
    TaggingExample("叶老桂在浙商银行。", None, [Span("name", 0, 3), Span("company", 4, 8)], 1),
    TaggingExample("Ann met Bo", None, [Span("name", 0, 3), Span("name", 8, 10)], 2),
    TaggingExample("nothing here", None, [], 3),
]


def tokenised(tokens: list[str], spans: list[Span]) -> TaggingExample:
    text, units = join_tokens(tokens)
    return TaggingExample(text, units, [Span(k, units[a][0], units[b - 1][1]) for k, a, b in spans], 1)


@st.composite
def raw_examples(draw: st.DrawFn) -> TaggingExample:
    text = draw(unicode_texts)
    words = word_ranges(text)
    spans = [Span(k, words[a][0], words[b - 1][1]) for k, a, b in draw(spans_over(len(words)))]
    return TaggingExample(text, None, spans, 1)


@st.composite
def tokenised_examples(draw: st.DrawFn) -> TaggingExample:
    tokens = draw(st.lists(st.sampled_from(["New", "York", "今", "天", "。", "ｱ", "\u0301", "x1"]), max_size=9))
    return tokenised(tokens, draw(spans_over(len(tokens))))


@given(st.lists(st.one_of(raw_examples(), tokenised_examples()), max_size=6), st.integers(0, 99), st.floats(0, 1))
def test_spans_stay_aligned_and_keep_their_types(examples: list[TaggingExample], seed: int, probability: float) -> None:
    result = replace_entities(examples, np.random.default_rng(seed), probability)
    known = {(s.type, e.text[s.start : s.end]) for e in examples for s in e.spans}
    assert len(result) == len(examples)
    for before, after in zip(examples, result, strict=True):
        assert [span.type for span in after.spans] == [span.type for span in before.spans]
        assert {(s.type, after.text[s.start : s.end]) for s in after.spans} <= known
        words = word_ranges(after.text) if after.units is None else after.units
        assert [fault for span in after.spans if (fault := unit_fault(after.text, words, span))] == []
        assert all(a.end <= b.start for a, b in pairwise(after.spans))
        assert _outside(after) == _outside(before)


def _outside(example: TaggingExample) -> list[str]:
    """What stands between the entities: characters of a raw text, tokens of another."""
    places = [0, *(edge for span in example.spans for edge in (span.start, span.end)), len(example.text)]
    if example.units is None:
        return [example.text[a:b] for a, b in zip(places[::2], places[1::2], strict=True)]
    inside = {i for span in example.spans for i in range(span.start, span.end)}
    return [example.text[a:b] for a, b in example.units if a not in inside]


def test_every_entity_changes_at_probability_one_and_none_at_zero() -> None:
    assert replace_entities(RAW, np.random.default_rng(0), 0.0) == RAW
    changed = replace_entities(RAW, np.random.default_rng(0), 1.0)
    assert [e.text[s.start : s.end] for e in changed for s in e.spans if s.type == "company"] == ["浙商银行"]
    for before, after in zip(RAW, changed, strict=True):
        for one, other in zip(before.spans, after.spans, strict=True):
            same = before.text[one.start : one.end] == after.text[other.start : other.end]
            assert same == (one.type == "company")


def test_substitutes_are_drawn_evenly_from_the_distinct_others() -> None:
    names = ["Ann", "Bo", "Cy", "Cy", "Cy", "Di"]
    examples = [TaggingExample(name, None, [Span("name", 0, len(name))], 1) for name in names]
    generator = np.random.default_rng(1)
    drawn = [replace_entities(examples, generator, 1.0)[0].text for _ in range(600)]
    assert {name: drawn.count(name) for name in set(drawn)} == pytest.approx(
        {"Bo": 200, "Cy": 200, "Di": 200}, rel=0.25
    )


def test_the_same_seed_gives_the_same_texts() -> None:
    once, again = (replace_entities(RAW, np.random.default_rng(5), 0.5) for _ in range(2))
    assert once == again


def test_an_entity_that_would_run_into_its_neighbour_is_not_used() -> None:
    examples = [
        TaggingExample("三星2011", None, [Span("game", 0, 2)], 1),
        TaggingExample("WCG 赛", None, [Span("game", 0, 3)], 2),
    ]
    first, second = replace_entities(examples, np.random.default_rng(0), 1.0)
    assert first == examples[0]
    assert second.text == "三星 赛"


def test_tokens_of_different_number(tmp_path: Path) -> None:
    texts = read(tmp_path / "a", "in O\nNew B-L\nYork I-L\n. O\n\n在 O\n京 B-L\n。 O\n")
    first, second = replace_entities(texts.examples, np.random.default_rng(0), 1.0)
    assert (first.text, first.units, first.spans) == ("in 京 .", [(0, 2), (3, 4), (5, 6)], [Span("L", 3, 4)])
    assert second.text == "在 New York 。"
    assert surfaces(texts) == [[("L", "New York")], [("L", "京")]]
