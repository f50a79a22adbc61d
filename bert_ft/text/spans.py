"""Spans of characters, and the units (words or given tokens) that carry their labels."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from unicodedata import category

from bert_ft.text.basic import BasicTokenizer

_MARK = "Mn"
_WORDLESS = (_MARK, "Cc", "Cf", "Cs")


class Span(NamedTuple):
    """An entity: its type and the characters it covers, ``end`` exclusive; units instead, where a function says so."""

    type: str
    start: int
    end: int


class UnitSpan(NamedTuple):
    """A predicted entity in the units of its sequence, ``end`` exclusive; ``score`` from 0 to 1."""

    type: str
    first: int
    end: int
    score: float


def word_ranges(text: str, do_lower_case: bool = True) -> list[tuple[int, int]]:
    """Characters of each word that Google's BasicTokenizer finds, its accents among them; ends exclusive."""
    words = _tokenizer(do_lower_case).tokenize(text)
    return with_marks(text, [(min(word.where), max(word.where) + 1) for word in words])


def with_marks(text: str, units: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give each unit the combining marks after its last character, which the tokenizer strips."""
    if text.isascii():
        return units
    result = []
    for (start, end), (limit, _) in pairwise([*units, (len(text), 0)]):
        at = end
        while at < limit and text[at] not in "\t\n\r" and (kind := category(text[at])) in _WORDLESS:
            at += 1
            if kind == _MARK:
                end = at
        result.append((start, end))
    return result


def covered_units(units: Sequence[tuple[int, int]], span: Span) -> range:
    """Which of the units, in order of the text, share a character with the span."""
    first = bisect_right(units, span.start, key=lambda unit: unit[1])
    return range(first, max(first, bisect_left(units, span.end, key=lambda unit: unit[0])))


def unit_fault(text: str, units: Sequence[tuple[int, int]], span: Span) -> str | None:
    """Why the span is not a sequence of whole units, or None."""
    covered = covered_units(units, span)
    if not covered:
        return f"span {span.start}-{span.end} ({span.type}) covers no word"
    for start, end in (units[covered[0]], units[covered[-1]]):
        if start < span.start or span.end < end:
            surface = text[span.start : span.end]
            return f"span {span.start}-{span.end} ({span.type} {surface!r}) cuts the word {text[start:end]!r}"
    return None


@lru_cache(maxsize=2)
def _tokenizer(do_lower_case: bool) -> BasicTokenizer:
    return BasicTokenizer(do_lower_case)
