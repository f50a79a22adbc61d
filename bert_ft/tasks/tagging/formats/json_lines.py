"""One JSON object a line, each with a ``text``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bert_ft.data.rows import Line
from bert_ft.tasks.tagging.formats.record import BadRecord, Record, RecordError
from bert_ft.text.spans import Span

# What the entities of an object are, with their stated surfaces; None when it has none of the keys.
SpanReader = Callable[[dict[str, Any]], "list[tuple[Span, str | None]] | None"]


def parse_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise RecordError(f'a JSON {type(value).__name__}, not an object such as {{"text": …}}')
    return value


def read_objects(lines: Sequence[Line], spans_in: SpanReader) -> Iterator[Record | BadRecord]:
    """Records of the lines that are not blank."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = parse_object(line)
            text = value.get("text")
            if not isinstance(text, str):
                raise RecordError('no "text"' if text is None else f'"text" is {text!r}, not a string')
            entities = spans_in(value)
        except RecordError as error:
            yield BadRecord(number, str(error))
            continue
        if entities is None:
            yield Record(number, text, None, None, [])
        else:
            yield Record(number, text, None, [span for span, _ in entities], [surface for _, surface in entities])
