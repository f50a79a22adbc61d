"""Pairs of sentences with a score of similarity, from CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bert_ft.data.rows import BadRows, Line, Row, read_lines
from bert_ft.errors import BertFtError

logger = logging.getLogger(__name__)

TEXT, TEXT_B, SCORE = "text_column", "text_b_column", "score_column"
_FLAGS = "--text_column, --text_b_column and --score_column"
_NAMES = {
    TEXT: {"sentence1", "sentencea", "text1", "texta", "text", "s1", "query1", "question1"},
    TEXT_B: {"sentence2", "sentenceb", "text2", "textb", "s2", "query2", "question2"},
    SCORE: {"score", "similarityscore", "similarity", "goldscore", "gold", "label"},
}
_DELIMITERS = ("\t", "||", ",", ";")


class ScoredPair(NamedTuple):
    """Two sentences and how similar they are held to be, on any scale; ``line`` counts from 1."""

    line: int
    first: str
    second: str
    score: float


def read_scored_pairs(
    path: Path, bad_rows: BadRows, columns: Mapping[str, str] | None = None, delimiter: str | None = None
) -> list[ScoredPair]:
    """Read a file of pairs; blank lines are passed over.

    A file whose first line begins with ``{`` has a JSON object a line. Any other is a table: parted by tabs or ``||``,
    where quotes mean nothing, or by commas or semicolons with CSV's quotes. Columns are found by the names in the first
    line; without such names they are the last three: sentence, sentence, score.

    Args:
        columns: names, or numbers from 0, for some of :data:`TEXT`, :data:`TEXT_B` and :data:`SCORE`.
        delimiter: None to recognise it in the first line.

    Raises:
        BertFtError: the file cannot be read or its columns cannot be found, or a row is bad.
    """
    given = {kind: name for kind, name in (columns or {}).items() if name is not None}
    lines = [line for line in read_lines(path, bad_rows) if line.text.strip()]
    if not lines:
        raise BertFtError(f"{path}: no usable row; the file is empty or every row is bad")
    if lines[0].text.lstrip().startswith("{"):
        found = _from_objects(path, lines, bad_rows, given)
    else:
        found = _from_table(path, lines, bad_rows, given, delimiter)
    pairs = []
    for line, first, second, score in found:
        fault = _fault(first, second, score)
        if fault:
            bad_rows.report(path, line, fault)
        else:
            pairs.append(ScoredPair(line, first.strip(), second.strip(), float(score)))
    bad_rows.summarize(path, len(pairs))
    return pairs


def _fault(first: Any, second: Any, score: Any) -> str | None:
    for text in (first, second):
        if not isinstance(text, str):
            return f"{text!r} stands for a sentence"
        if not text.strip():
            return "a sentence is empty"
    return None if _is_number(score) else f"the score {score!r} is no number"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def _kind(name: str) -> str | None:
    plain = re.sub(r"[\W_]+", "", name).lower()
    return next((kind for kind, names in _NAMES.items() if plain in names), None)


def _from_objects(
    path: Path, lines: Sequence[Line], bad_rows: BadRows, given: Mapping[str, str]
) -> Iterator[tuple[int, Any, Any, Any]]:
    for line, text in lines:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            bad_rows.report(path, line, f"not a JSON object ({error})")
            continue
        if not isinstance(value, dict):
            bad_rows.report(path, line, f"a JSON {type(value).__name__}, not an object")
            continue
        names = {kind: name for name in value if (kind := _kind(name))} | dict(given)
        lacking = [kind for kind in _NAMES if names.get(kind) not in value]
        if lacking:
            bad_rows.report(
                path, line, f"the object has no {_sought(lacking[0], given)} (keys: {', '.join(value) or 'none'})"
            )
            continue
        yield line, value[names[TEXT]], value[names[TEXT_B]], value[names[SCORE]]


def _sought(kind: str, given: Mapping[str, str]) -> str:
    return repr(given[kind]) if kind in given else {TEXT: "sentence1", TEXT_B: "sentence2", SCORE: "score"}[kind]


def _from_table(
    path: Path, lines: Sequence[Line], bad_rows: BadRows, given: Mapping[str, str], delimiter: str | None
) -> Iterator[tuple[int, str, str, str]]:
    delimiter = delimiter or _recognised(path, lines[0])
    rows = list(_csv_rows(path, lines, delimiter) if delimiter in (",", ";") else _plain_rows(lines, delimiter))
    header = rows[0].cells
    numbers, named = _columns(path, rows[0], given)
    first, second, score = (numbers[kind] for kind in _NAMES)
    if named or (not _is_number(header[score]) and len(rows) > 1 and _is_number(_cell(rows[1], score))):
        logger.info("%s:%d: read as a header: %s", path, rows[0].line, ", ".join(header))
        del rows[0]
    elif not _is_number(header[score]):
        raise BertFtError(
            f"{path}:{rows[0].line}: no column names such as sentence1, sentence2, score, and {header[score]!r} in "
            f"column {score} is no number; say where they are with {_FLAGS} (counted from 0)"
        )
    for line, cells in rows:
        if len(cells) == len(header):
            yield line, cells[first], cells[second], cells[score]
        else:
            bad_rows.report(path, line, f"{len(cells)} columns where the first row has {len(header)}")


def _recognised(path: Path, line: Line) -> str:
    for delimiter in _DELIMITERS:
        if line.text.count(delimiter) >= 2:
            return delimiter
    raise BertFtError(
        f"{path}:{line.number}: no three columns parted by tab, comma, semicolon or ||; name what parts them with "
        "--delimiter"
    )


def _columns(path: Path, header: Row, given: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    """The columns' numbers, and whether one was found by its name."""
    cells = [cell.strip() for cell in header.cells]
    if len(cells) < 3:
        raise BertFtError(f"{path}:{header.line}: {len(cells)} columns; two sentences and a score are needed")
    by_name = {kind: number for number, cell in enumerate(cells) if (kind := _kind(cell))}
    named = len(by_name) == len(_NAMES)
    numbers = by_name if named else dict(zip(_NAMES, range(len(cells) - 3, len(cells)), strict=True))
    for kind, name in given.items():
        if name in cells:
            numbers[kind], named = cells.index(name), True
        elif name.isdecimal() and int(name) < len(cells):
            numbers[kind] = int(name)
        else:
            raise BertFtError(f"{path}:{header.line}: no column {name!r} for --{kind}; there are {', '.join(cells)}")
    if len(set(numbers.values())) < len(numbers):
        raise BertFtError(f"{path}:{header.line}: two of {_FLAGS} are one column; give all three")
    return numbers, named


def _cell(row: Row, number: int) -> str:
    return row.cells[number] if number < len(row.cells) else ""


def _plain_rows(lines: Sequence[Line], delimiter: str) -> Iterator[Row]:
    return (Row(line.number, line.text.split(delimiter)) for line in lines)


def _csv_rows(path: Path, lines: Sequence[Line], delimiter: str) -> Iterator[Row]:
    """Rows with the number of their first line; a quoted cell may go over several lines."""
    reader = csv.reader((line.text + "\n" for line in lines), delimiter=delimiter, strict=True)
    while True:
        line = lines[min(reader.line_num, len(lines) - 1)].number
        try:
            yield Row(line, next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            raise BertFtError(f"{path}:{line}: the CSV breaks in this row ({error}); mend its quotes") from None
