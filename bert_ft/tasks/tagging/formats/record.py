"""What the readers of the formats hand on, before its spans are checked."""

from __future__ import annotations

from typing import NamedTuple

from bert_ft.text.spans import Span


class Record(NamedTuple):
    """One text of a file.

    Attributes:
        line: number of its first line.
        units: character ranges of its tokens, or None for a raw text.
        spans: its entities, or None where the file says nothing of them.
        surfaces: for each span what the file states its text to be, or None.
    """

    line: int
    text: str
    units: list[tuple[int, int]] | None
    spans: list[Span] | None
    surfaces: list[str | None]


class BadRecord(NamedTuple):
    """A text that cannot be read, and why."""

    line: int
    fault: str


class RecordError(ValueError):
    """Raised while a record is read; the message is the fault."""


def make_span(kind: object, start: object, end: object) -> Span:
    """A span of values as JSON has them, ``end`` exclusive. Raises RecordError."""
    if not isinstance(kind, str) or not kind.strip():
        raise RecordError(f"the type of a span is {kind!r}, not a name")
    if any(char in kind for char in "\t\r\n"):
        raise RecordError(f"the type of a span, {kind!r}, holds a tab or a line end")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise RecordError(f"{name} of a span of type {kind!r} is {value!r}, not a whole number")
    return Span(kind.strip(), start, end)  # type: ignore[arg-type]
