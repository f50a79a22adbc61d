"""JSON lines with character spans, ends exclusive, in the key spellings of the usual annotation tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bert_ft.data.rows import Line, RowError
from bert_ft.tasks.tagging.formats.record import BadRecord, Record, make_span, read_records
from bert_ft.text.spans import Span

_LISTS = ("entities", "spans", "labels", "label")
_STARTS = ("start", "start_offset")
_ENDS = ("end", "end_offset")
_TYPES = ("type", "label", "entity_group")


def read(path: Path, lines: Sequence[Line]) -> Iterator[Record | BadRecord]:
    return read_records(lines, _entities)


def _entities(value: dict[str, Any]) -> list[tuple[Span, str | None]] | None:
    name = next((name for name in _LISTS if value.get(name) is not None), None)
    if name is None:
        return None
    entities = value[name]
    if not isinstance(entities, list):
        raise RowError(f'"{name}" is {entities!r}, not a list of spans')
    return [_entity(entity) for entity in entities]


def _entity(entity: object) -> tuple[Span, str | None]:
    if isinstance(entity, list) and len(entity) == 3:
        start, end, kind = entity
        return make_span(kind, start, end), None
    if not isinstance(entity, dict):
        raise RowError(f'{entity!r} is no span; write {{"start": …, "end": …, "type": …}} or [start, end, type]')
    start, end, kind = (_first(entity, names) for names in (_STARTS, _ENDS, _TYPES))
    surface = entity.get("text")
    return make_span(kind, start, end), surface if isinstance(surface, str) else None


def _first(entity: dict[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in entity:
            return entity[name]
    raise RowError(f"a span without {' or '.join(names)}: {entity!r}")
