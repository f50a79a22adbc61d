"""CLUENER2020: JSON lines, ``{"text": …, "label": {type: {surface: [[start, end], …]}}}``, ends inclusive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bert_ft.data.rows import Line, RowError
from bert_ft.tasks.tagging.formats.record import BadRecord, Record, make_span, read_records
from bert_ft.text.spans import Span


def read(path: Path, lines: Sequence[Line]) -> Iterator[Record | BadRecord]:
    return read_records(lines, _entities)


def _entities(value: dict[str, Any]) -> list[tuple[Span, str | None]] | None:
    label = value.get("label")
    if label is None:
        return None
    found: list[tuple[Span, str | None]] = []
    for kind, surfaces in _items(label, '"label"'):
        for surface, ranges in _items(surfaces, f'"label" of type {kind!r}'):
            if not isinstance(ranges, list) or not all(isinstance(r, list) and len(r) == 2 for r in ranges):
                raise RowError(f"the places of {surface!r} are {ranges!r}, not a list of [start, end]")
            for start, end in ranges:
                span = make_span(kind, start, end)
                found.append((span._replace(end=span.end + 1), surface))
    return found


def _items(value: object, name: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise RowError(f"{name} is {value!r}, not an object as in CLUENER")
    return list(value.items())
