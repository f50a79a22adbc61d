"""Spans of units as the caller sees them: entities with offsets into his own text, and BIO tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bert_ft.text.spans import UnitSpan
from bert_ft.text.windows import WindowedText

_OUTSIDE = "O"


def entities_of(windowed: WindowedText, spans: Iterable[UnitSpan]) -> list[dict[str, Any]]:
    """Entities as JSON objects with keys type, text, start, end and score.

    ``start`` and ``end`` (exclusive) count characters of the text as given, so that ``text[start:end]`` is the
    entity's ``text``; for tokenised input they count tokens, and ``text`` is those tokens joined.

    Args:
        spans: of the whole text, as :func:`bert_ft.text.windows.merge_spans` returns them.
    """
    entities = []
    for span in spans:
        start, end = _characters(windowed, span)
        entity: dict[str, Any] = {"type": span.type, "text": windowed.text[start:end]}
        where = (span.first, span.end) if windowed.is_tokenized else (start, end)
        entities.append({**entity, "start": where[0], "end": where[1], "score": span.score})
    return entities


def tags_of(windowed: WindowedText, spans: Iterable[UnitSpan]) -> list[str]:
    """BIO tags: one for each character of a raw text, one for each token of tokenised input."""
    tags = [_OUTSIDE] * len(windowed.units if windowed.is_tokenized else windowed.text)
    for span in spans:
        start, end = (span.first, span.end) if windowed.is_tokenized else _characters(windowed, span)
        tags[start:end] = [f"B-{span.type}", *[f"I-{span.type}"] * (end - start - 1)]
    return tags


def _characters(windowed: WindowedText, span: UnitSpan) -> tuple[int, int]:
    return windowed.units[span.first][0], windowed.units[span.end - 1][1]
