"""TASTEset's CSV: ``ingredients`` (several lines of text) and ``ingredients_entities`` (JSON, ends exclusive)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path

from bert_ft.data.rows import BadRows, Line, RowError
from bert_ft.data.tables import cells, first_row, text_table
from bert_ft.errors import BertFtError
from bert_ft.tasks.tagging.formats.record import BadRecord, Record, make_span
from bert_ft.text.spans import Span

TEXT, ENTITIES = "ingredients", "ingredients_entities"


def read(path: Path, lines: Sequence[Line]) -> Iterator[Record | BadRecord]:
    """Records of the rows below the header; a file without the second column has no labels."""
    for number, line in enumerate(lines, start=1):
        if line.number != number:
            # Its quotes are lost, so that no one can say where the rows after it begin.
            raise BertFtError(f"{path}:{number}: a CSV file must be UTF-8 throughout; mend the line")
    table = text_table(path, BadRows(), lines, ",")
    header = [name.strip() for name in first_row(table)]
    if TEXT not in header:
        raise BertFtError(f"{path}:1: no column {TEXT}; the first line of a TASTEset file names its columns")
    columns = [
        cells(table, header.index(name)) if name in header else repeat(None, len(table)) for name in (TEXT, ENTITIES)
    ]
    rows = zip(table["line"].tolist(), table["width"].tolist(), *columns, strict=True)
    for number, width, text, entities in islice(rows, 1, None):
        if width != len(header):
            yield BadRecord(number, f"{width} columns where the header has {len(header)}")
            continue
        try:
            yield _record(number, text, entities)
        except RowError as error:
            yield BadRecord(number, str(error))


def _record(number: int, text: str, entities: str | None) -> Record:
    if entities is None:
        return Record(number, text, None, None, [])
    try:
        values = json.loads(entities)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{ENTITIES} is not JSON ({error})") from None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise RowError(f"{ENTITIES} is not a list of objects")
    spans: list[Span] = []
    surfaces: list[str | None] = []
    for value in values:
        spans.append(make_span(value.get("type"), value.get("start"), value.get("end")))
        surface = value.get("entity")
        surfaces.append(surface if isinstance(surface, str) else None)
    return Record(number, text, None, spans, surfaces)
