"""Where a text may be cut: after a sentence, else after a clause, else between any two units."""

from __future__ import annotations

from collections.abc import Sequence

_SENTENCE_ENDS = frozenset("。！？!?；;…｡")
_CLAUSE_ENDS = frozenset("，,、：:､")
_CLOSING = frozenset("”’\"'」』）)】》〉］]｝}")
_NEW_LINES = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
_ANYWHERE, _CLAUSE, _SENTENCE = range(3)
_CJK_BLOCKS = ((0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))


def break_ranks(text: str, units: Sequence[tuple[int, int]]) -> list[int]:
    """How well the text may be cut before each unit and after the last: 2 a sentence ends, 1 a clause, 0 neither.

    Quotation marks and brackets that close belong to the sentence before. A full stop ends a sentence where
    white space follows.
    """
    ranks = []
    rank = _ANYWHERE
    before = 0
    for start, end in units:
        gap = text[before:start]
        before = end
        mark = text[start:end]
        starts_line = not _NEW_LINES.isdisjoint(gap)
        if mark in _SENTENCE_ENDS or mark in _CLAUSE_ENDS or (mark in _CLOSING and rank):
            ranks.append(_SENTENCE if starts_line else _ANYWHERE)
        else:
            ranks.append(_SENTENCE if starts_line else rank)
            rank = _ANYWHERE
        if mark in _SENTENCE_ENDS or (mark == "." and text[end : end + 1].isspace()):
            rank = _SENTENCE
        elif mark in _CLAUSE_ENDS:
            rank = max(rank, _CLAUSE)
    return [*ranks, _SENTENCE]


def best_cut(ranks: Sequence[int], start: int, furthest: int) -> int:
    """The last of the best places to cut after ``start``, at most ``furthest``."""
    return max(range(start + 1, furthest + 1), key=lambda unit: (ranks[unit], unit))


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Tokens as one text, with a space between any two that do not meet in CJK characters.

    Returns:
        the text, and the half-open range of each token in it.
    """
    parts: list[str] = []
    ranges = []
    at = 0
    last = ""
    for index, token in enumerate(tokens):
        if index and not (_is_cjk(last) and _is_cjk(token[:1])):
            parts.append(" ")
            at += 1
        parts.append(token)
        ranges.append((at, at + len(token)))
        at += len(token)
        last = token[-1:]
    return "".join(parts), ranges


def _is_cjk(char: str) -> bool:
    return bool(char) and any(low <= ord(char) <= high for low, high in _CJK_BLOCKS)
