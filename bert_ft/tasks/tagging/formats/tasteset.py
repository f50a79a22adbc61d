"""TASTEset's CSV: ``ingredients`` (several lines of text) and ``ingredients_entities`` (JSON, ends exclusive)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bert_ft.data.rows import Line
from bert_ft.errors import BertFtError
from bert_ft.tasks.tagging.formats.record import BadRecord, Record, RecordError, make_span
from bert_ft.text.spans import Span

TEXT, ENTITIES = "ingredients", "ingredients_entities"


def read(path: Path, lines: Sequence[Line]) -> Iterator[Record | BadRecord]:
    """Records of the rows below the header; a file without the second column has no labels."""
    rows = _rows(path, lines)
    _, header = next(rows, (1, []))
    header = [name.strip() for name in header]
    if TEXT not in header:
        raise BertFtError(f"{path}:1: no column {TEXT}; the first line of a TASTEset file names its columns")
    for number, cells in rows:
        if len(cells) != len(header):
            yield BadRecord(number, f"{len(cells)} columns where the header has {len(header)}")
            continue
        row = dict(zip(header, cells, strict=True))
        try:
            yield _record(number, row[TEXT], row.get(ENTITIES))
        except RecordError as error:
            yield BadRecord(number, str(error))


def _rows(path: Path, lines: Sequence[Line]) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line."""
    for number, line in enumerate(lines, start=1):
        if line.number != number:
            # Its quotes are lost, so that no one can say where the rows after it begin.
            raise BertFtError(f"{path}:{number}: a CSV file must be UTF-8 throughout; mend the line")
    reader = csv.reader((line.text + "\n" for line in lines), strict=True)
    while True:
        first = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BertFtError(f"{path}:{first + 1}: the CSV breaks in this row ({error})") from None
        if cells:
            yield first + 1, cells


def _record(number: int, text: str, entities: str | None) -> Record:
    if entities is None:
        return Record(number, text, None, None, [])
    try:
        values = json.loads(entities)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{ENTITIES} is not JSON ({error})") from None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise RecordError(f"{ENTITIES} is not a list of objects")
    spans: list[Span] = []
    surfaces: list[str | None] = []
    for value in values:
        spans.append(make_span(value.get("type"), value.get("start"), value.get("end")))
        surface = value.get("entity")
        surfaces.append(surface if isinstance(surface, str) else None)
    return Record(number, text, None, spans, surfaces)
