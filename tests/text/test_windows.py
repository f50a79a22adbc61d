"""Units are Google's words; windows cover every unit once; merging undoes the cutting."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bert_ft.errors import BertFtError
from bert_ft.text.basic import BasicTokenizer
from bert_ft.text.decoding import UnitSpan
from bert_ft.text.entities import entities_of, tags_of
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from bert_ft.text.windows import Window, WindowBuilder, WindowedText, merge_spans
from tests.text.strategies import NASTY, unicode_texts

small_lengths = st.integers(3, 24)
tokens = st.one_of(st.text(max_size=6), st.sampled_from(["unaffable", "今天", "", "\u200b", "##a", "U.S.", "a" * 300]))
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def uncased(vocab_path: Path) -> FullTokenizer:
    return FullTokenizer(Vocab.load(vocab_path))


def _check(windowed: WindowedText, max_seq_length: int) -> None:
    """What holds of every windowed text."""
    assert windowed.windows
    covered = [unit for window in windowed.windows for unit in window.core]
    assert covered == list(range(len(windowed.units)))
    for window in windowed.windows:
        features = window.features
        assert len(features.ids) <= max_seq_length
        assert len(features.ids) == len(features.tokens) == len(features.offsets) == len(features.segments)
        assert (features.tokens[0], features.tokens[-1]) == ("[CLS]", "[SEP]")
        assert features.special == (0, len(features.ids) - 1)
        assert set(window.core) <= set(window.units)
        assert window.core or not windowed.units
        assert len(window.first_pieces) == len(window.units)
        assert all(not features.tokens[at].startswith("##") for at in window.first_pieces)
        for at, unit in zip(window.first_pieces, window.units, strict=True):
            assert windowed.units[unit][0] <= features.offsets[at][0]
            assert features.offsets[at][1] <= windowed.units[unit][1]
        assert not features.truncated or len(window.units) == 1


@given(text=unicode_texts, max_seq_length=small_lengths)
def test_units_are_googles_words(tokenizer: FullTokenizer, google: Any, text: str, max_seq_length: int) -> None:
    (windowed,) = WindowBuilder(tokenizer, max_seq_length).texts([text])
    _check(windowed, max_seq_length)
    words = BasicTokenizer(tokenizer.do_lower_case).tokenize(text)
    assert [word.text for word in words] == google.basic_tokenizer.tokenize(text)
    assert len(windowed.units) == len(words)
    for word, (start, end) in zip(words, windowed.units, strict=True):
        last = max(word.where) + 1
        assert (start, text[last:end].rstrip()) == (min(word.where), text[last:end])
        assert end == last or category(text[end - 1]) == "Mn"
    assert all(before[1] <= after[0] for before, after in pairwise(windowed.units))
    inside = {at for start, end in windowed.units for at in range(start, end)}
    outside = [char for at, char in enumerate(text) if at not in inside]
    assert google.basic_tokenizer.tokenize(" ".join(c for c in outside if category(c) != "Mn")) == []


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("I ❤\ufe0f NY", ["I", "❤\ufe0f", "NY"]),
        ("a\u00adb\u200b c", ["a\u00adb", "c"]),
        ("##a x#y", ["#", "#", "a", "x", "#", "y"]),
        ("浙商bank,2021年", ["浙", "商", "bank", ",", "2021", "年"]),
        ("\U00020000\U0001f602a", ["\U00020000", "\U0001f602a"]),
        ("x" * 201 + " " + "y" * 200, ["x" * 201, "y" * 200]),
    ],
)
def test_units_of_written_texts(uncased: FullTokenizer, text: str, units: list[str]) -> None:
    (windowed,) = WindowBuilder(uncased, 512).texts([text])
    assert [windowed.text[start:end] for start, end in windowed.units] == units


@given(text=unicode_texts)
def test_a_short_text_is_one_window_of_the_tokenizers_pieces(tokenizer: FullTokenizer, text: str) -> None:
    encoding = tokenizer.encode(text)
    (windowed,) = WindowBuilder(tokenizer, len(encoding.ids) + 3).texts([text])
    (window,) = windowed.windows
    assert window.features.ids[1:-1] == encoding.ids
    assert window.features.offsets[1:-1] == encoding.offsets


@given(texts=st.lists(st.lists(tokens, max_size=12), max_size=3), max_seq_length=small_lengths)
def test_each_given_token_is_one_unit(tokenizer: FullTokenizer, texts: list[list[str]], max_seq_length: int) -> None:
    builder = WindowBuilder(tokenizer, max_seq_length)
    for given_tokens, windowed in zip(texts, builder.words(texts), strict=True):
        _check(windowed, max_seq_length)
        assert [windowed.text[start:end] for start, end in windowed.units] == given_tokens
        assert windowed.is_tokenized
        for window in windowed.windows:
            bounds = [*window.first_pieces, len(window.features.ids) - 1]
            for unit, (start, end) in zip(window.units, pairwise(bounds), strict=True):
                pieces = tokenizer.tokenize(given_tokens[unit]) or ["[UNK]"]
                found = window.features.tokens[start:end]
                assert found == (pieces[: len(found)] if window.features.truncated else pieces)


def test_tokens_are_joined_without_spaces_between_cjk_characters(uncased: FullTokenizer) -> None:
    (windowed,) = WindowBuilder(uncased, 512).words([["浙", "商", "银行", "of", "China", "，", "叶", "。", "ok"]])
    assert windowed.text == "浙商银行 of China ，叶。 ok"


@given(text=unicode_texts, max_seq_length=small_lengths)
def test_given_ranges_of_the_words_give_the_same_windows(
    tokenizer: FullTokenizer, text: str, max_seq_length: int
) -> None:
    builder = WindowBuilder(tokenizer, max_seq_length)
    (windowed,) = builder.texts([text])
    words = [text[start:end] for start, end in windowed.units]
    again = builder.with_units(text, windowed.units)
    assert again.units == windowed.units
    if all(len(tokenizer.tokenize(word)) == 1 for word in words) and "ς" not in "".join(words):
        assert [window[1:] for window in again.windows] == [window[1:] for window in windowed.windows]
    _check(again, max_seq_length)


@example(count=600, max_seq_length=23, overlap=None)
@given(count=st.integers(1, 200), max_seq_length=st.integers(8, 40), overlap=st.none() | st.integers(1, 12))
def test_every_unit_of_a_core_has_context_on_both_sides(
    uncased: FullTokenizer, count: int, max_seq_length: int, overlap: int | None
) -> None:
    (windowed,) = WindowBuilder(uncased, max_seq_length, overlap).texts(
        [" ".join(LETTERS[i % 26] for i in range(count))]
    )
    wanted = min(max_seq_length // 8 if overlap is None else overlap, (max_seq_length - 3) // 2)
    _check(windowed, max_seq_length)
    for window in windowed.windows:
        assert window.core.start - window.units.start >= min(wanted, window.core.start)
        assert window.units.stop - window.core.stop >= min(wanted, count - window.core.stop)
        assert len(window.features.ids) == max_seq_length or len(windowed.windows) == 1


def _cores(builder: WindowBuilder, text: str) -> list[str]:
    (windowed,) = builder.texts([text])
    starts = [windowed.units[window.core.start][0] for window in windowed.windows]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("今天真开。心今天，真开心今天真", ["今天真开。", "心今天，", "真开心今天真"]),
        ("今天真开！”心今天真今天真开心", ["今天真开！”", "心今天真今天", "真开心"]),
        ("今天\n真开心今天真开心今天真", ["今天\n", "真开心今天真", "开心今天真"]),
        ("a b. c d 3.5 e f g h", ["a b. ", "c d 3.5 e ", "f g h"]),
        ("今天真，？！开心今天真开心今天", ["今天真，？！", "开心今天真开", "心今天"]),
    ],
)
def test_cuts_fall_after_sentences_then_clauses(uncased: FullTokenizer, text: str, cores: list[str]) -> None:
    assert _cores(WindowBuilder(uncased, 12, overlap=2), text) == cores


@pytest.mark.parametrize("text", ["今天真开心。" * 1700, "x" * 10_000, "ab" * 100 + " " + "c" * 9000, "，" * 10_000])
def test_ten_thousand_characters(uncased: FullTokenizer, text: str) -> None:
    (windowed,) = WindowBuilder(uncased, 128).texts([text])
    _check(windowed, 128)
    assert {at for start, end in windowed.units for at in range(start, end)} >= set(range(len(text))) - {200}


def test_a_unit_of_more_pieces_than_fit_keeps_its_first(uncased: FullTokenizer) -> None:
    (windowed,) = WindowBuilder(uncased, 10).texts(["b " + "c" * 40 + " d"])
    middle = next(window for window in windowed.windows if 1 in window.core)
    assert middle.features.tokens == ["[CLS]", "c", *["##c"] * 7, "[SEP]"]
    assert middle.features.truncated
    _check(windowed, 10)


@pytest.mark.parametrize("text", ["", " \n", "\u200b"])
def test_a_text_without_units_is_cls_sep(uncased: FullTokenizer, text: str) -> None:
    (windowed,) = WindowBuilder(uncased, 8).texts([text])
    (window,) = windowed.windows
    assert window.features.tokens == ["[CLS]", "[SEP]"]
    assert (windowed.units, window.first_pieces, window.core, window.units) == ([], [], range(0), range(0))


def test_a_length_that_holds_no_token_is_refused(uncased: FullTokenizer) -> None:
    with pytest.raises(BertFtError, match="max_seq_length is 2"):
        WindowBuilder(uncased, 2)


def _spans(count: int, seed: int, longest: int) -> list[UnitSpan]:
    generator = random.Random(seed)
    spans = []
    at = generator.randrange(3)
    while at < count:
        end = min(count, at + generator.randint(1, longest))
        spans.append(UnitSpan(generator.choice("xy"), at, end, generator.random()))
        at = end + generator.choice([0, 0, 1, 5])
    return spans


def _seen_by(window: Window, spans: Sequence[UnitSpan]) -> list[UnitSpan]:
    """The part of each span that lies in the window, in the window's units."""
    units = window.units
    return [
        span._replace(first=max(span.first, units.start) - units.start, end=min(span.end, units.stop) - units.start)
        for span in spans
        if span.first < units.stop and span.end > units.start
    ]


@given(
    count=st.integers(0, 300),
    max_seq_length=st.integers(6, 60),
    seed=st.integers(),
    longest=st.sampled_from([3, 40, 200]),
)
def test_merging_gives_the_labelling_back(
    uncased: FullTokenizer, count: int, max_seq_length: int, seed: int, longest: int
) -> None:
    """Also of entities that are longer than a window, where every window has context."""
    text = "".join(random.Random(seed).choices(["今", "天", "，", "。", "a ", "\n"], k=count))
    (windowed,) = WindowBuilder(uncased, max_seq_length, overlap=1).texts([text])
    spans = _spans(len(windowed.units), seed, longest)
    merged = merge_spans(windowed, [_seen_by(window, spans) for window in windowed.windows])
    assert merged == spans


def test_merging_keeps_what_the_core_says_and_drops_what_overlaps(uncased: FullTokenizer) -> None:
    (windowed,) = WindowBuilder(uncased, 12, overlap=2).texts(["今天真开。心今天，真开心今天真"])
    first, second, third = windowed.windows
    assert (first.core, second.core, third.core) == (range(5), range(5, 9), range(9, 15))
    spans = [UnitSpan("x", 3, 7, 0.9), UnitSpan("y", 8, 9, 0.9)]  # the second begins outside the core
    others = [UnitSpan("z", 6 - second.units.start, 8 - second.units.start, 0.5)]  # overlaps
    last = [UnitSpan("x", 12 - third.units.start, 13 - third.units.start, 0.1)]
    assert merge_spans(windowed, [spans, others, last]) == [spans[0], UnitSpan("x", 12, 13, 0.1)]


@pytest.mark.parametrize("text", NASTY)
def test_entities_are_cut_out_of_the_text_as_sent(tokenizer: FullTokenizer, text: str) -> None:
    (windowed,) = WindowBuilder(tokenizer, 16).texts([text])
    spans = _spans(len(windowed.units), len(text), 3)
    entities = entities_of(windowed, spans)
    assert [(e["type"], e["score"]) for e in entities] == [(span.type, span.score) for span in spans]
    assert all(text[e["start"] : e["end"]] == e["text"] != "" for e in entities)
    tags = tags_of(windowed, spans)
    assert len(tags) == len(text)
    for entity in entities:
        inner = tags[entity["start"] : entity["end"]]
        assert inner == [f"B-{entity['type']}"] + [f"I-{entity['type']}"] * (len(inner) - 1)
    assert sum(tag != "O" for tag in tags) == sum(len(e["text"]) for e in entities)


def test_entities_of_tokens_count_tokens(uncased: FullTokenizer) -> None:
    (windowed,) = WindowBuilder(uncased, 16).words([["New", "York", "浙商", "银行", ""]])
    spans = [UnitSpan("city", 0, 2, 0.5), UnitSpan("bank", 2, 4, 0.25)]
    assert entities_of(windowed, spans) == [
        {"type": "city", "text": "New York", "start": 0, "end": 2, "score": 0.5},
        {"type": "bank", "text": "浙商银行", "start": 2, "end": 4, "score": 0.25},
    ]
    assert tags_of(windowed, spans) == ["B-city", "I-city", "B-bank", "I-bank", "O"]
