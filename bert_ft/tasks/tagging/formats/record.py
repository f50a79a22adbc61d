"""What the readers of the formats hand on, before its spans are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bert_ft.data.rows import Line, RowError, parse_object
from bert_ft.text.spans import Span

# What the entities of an object are, with their stated surfaces; None when it has none of the keys.
SpanReader = Callable[[dict[str, Any]], "list[tuple[Span, str | None]] | None"]


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


def make_span(kind: object, start: object, end: object) -> Span:
    """A span of values as JSON has them, ``end`` exclusive. Raises RowError."""
    if not isinstance(kind, str) or not kind.strip():
        raise RowError(f"the type of a span is {kind!r}, not a name")
    if any(char in kind for char in "\t\r\n"):
        raise RowError(f"the type of a span, {kind!r}, holds a tab or a line end")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise RowError(f"{name} of a span of type {kind!r} is {value!r}, not a whole number")
    return Span(kind.strip(), start, end)  # type: ignore[arg-type]


def read_records(lines: Sequence[Line], spans_in: SpanReader) -> Iterator[Record | BadRecord]:
    """Records of JSON objects with a ``text``, one a line; blank lines are passed over."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = parse_object(line)
            text = value.get("text")
            if not isinstance(text, str):
                raise RowError('no "text"' if text is None else f'"text" is {text!r}, not a string')
            entities = spans_in(value)
        except RowError as error:
            yield BadRecord(number, str(error))
            continue
        if entities is None:
            yield Record(number, text, None, None, [])
        else:
            yield Record(number, text, None, [span for span, _ in entities], [surface for _, surface in entities])
