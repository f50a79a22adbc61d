"""Pairs of sentences with a score of similarity, from tables and JSON."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_ft.data import columns as column
from bert_ft.data.rows import BadRows, Line, first_text, is_array, read_lines, read_objects
from bert_ft.data.tables import cells, first_row, is_binary, place_of, read_table, text_table
from bert_ft.errors import BertFtError

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)

TEXT, TEXT_B, SCORE = "text_column", "text_b_column", "score_column"
_FLAGS = "--text_column, --text_b_column and --score_column"
_NAMES = {TEXT: column.TEXT, TEXT_B: column.TEXT_B, SCORE: column.SCORE}


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

    A file whose first line begins with ``{`` has a JSON object a line, or is one array of them. Any other is a table:
    Excel, parquet, or text parted by tabs or ``||``, where quotes mean nothing, or by commas or semicolons with CSV's
    quotes. Columns are found by the names in the first line; without such names they are the last three: sentence,
    sentence, score.

    Args:
        columns: names, or numbers from 0, for some of :data:`TEXT`, :data:`TEXT_B` and :data:`SCORE`.
        delimiter: None to recognise it in the first line.

    Raises:
        BertFtError: the file cannot be read or its columns cannot be found, or a row is bad.
    """
    given = {kind: name for kind, name in (columns or {}).items() if name is not None}
    if is_binary(path):
        found = _from_table(path, read_table(path, bad_rows), bad_rows, given)
    else:
        lines = list(read_lines(path, bad_rows))
        begin = first_text(lines)
        if begin and (begin.text.lstrip().startswith("{") or is_array(begin)):
            found = _from_objects(path, lines, bad_rows, given)
        else:
            table = text_table(path, bad_rows, lines, delimiter or (_recognised(path, begin) if begin else ","))
            found = _from_table(path, table, bad_rows, given)
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


def _from_objects(
    path: Path, lines: Sequence[Line], bad_rows: BadRows, given: Mapping[str, str]
) -> Iterator[tuple[int, Any, Any, Any]]:
    for line, value in read_objects(path, lines, bad_rows):
        keys = list(value)
        numbers = {kind: column.known_column(keys, known) for kind, known in _NAMES.items()}
        names = {kind: keys[number] for kind, number in numbers.items() if number is not None} | dict(given)
        lacking = [kind for kind in _NAMES if names.get(kind) not in value]
        if lacking:
            bad_rows.report(
                path, line, f"the object has no {_sought(lacking[0], given)} (keys: {', '.join(keys) or 'none'})"
            )
            continue
        yield line, value[names[TEXT]], value[names[TEXT_B]], value[names[SCORE]]


def _sought(kind: str, given: Mapping[str, str]) -> str:
    return repr(given[kind]) if kind in given else {TEXT: "sentence1", TEXT_B: "sentence2", SCORE: "score"}[kind]


def _from_table(
    path: Path, table: DataFrame, bad_rows: BadRows, given: Mapping[str, str]
) -> Iterator[tuple[int, str, str, str]]:
    header, place = first_row(table), place_of(path, table)
    numbers, named = _columns(place, header, given)
    number = numbers[SCORE]
    values = [cells(table, numbers[kind]) for kind in _NAMES]
    if (
        named
        or table["line"].iloc[0] == 0
        or (not _is_number(header[number]) and len(table) > 1 and _is_number(values[2][1]))
    ):
        logger.info("%s: read as a header: %s", place, ", ".join(header))
        start = 1
    elif _is_number(header[number]):
        start = 0
    else:
        raise BertFtError(
            f"{place}: no column names such as sentence1, sentence2, score, and {header[number]!r} in "
            f"column {number} is no number; say where they are with {_FLAGS} (counted from 0)"
        )
    rows = zip(table["line"].tolist(), table["width"].tolist(), *values, strict=True)
    for line, width, first, second, score in islice(rows, start, None):
        if width == len(header):
            yield line, first, second, score
        else:
            bad_rows.report(path, line, f"{width} columns where the first row has {len(header)}")


def _recognised(path: Path, line: Line) -> str:
    if delimiter := column.find_delimiter(line.text, 3):
        return delimiter
    raise BertFtError(
        f"{path}:{line.number}: no three columns parted by tab, comma, semicolon or ||; name what parts them with "
        "--delimiter"
    )


def _columns(place: str, header: Sequence[str], given: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    """The columns' numbers, and whether one was found by its name."""
    if len(header) < 3:
        raise BertFtError(f"{place}: {len(header)} columns; two sentences and a score are needed")
    known = {kind: column.known_column(header, names) for kind, names in _NAMES.items()}
    by_name = {kind: number for kind, number in known.items() if number is not None}
    named = len(by_name) == len(_NAMES)
    numbers = by_name if named else dict(zip(_NAMES, range(len(header) - 3, len(header)), strict=True))
    for kind, name in given.items():
        numbers[kind] = column.find_column(header, name, kind, place)
        named = named or name in (cell.strip() for cell in header)
    if len(set(numbers.values())) < len(numbers):
        raise BertFtError(f"{place}: two of {_FLAGS} are one column; give all three")
    return numbers, named
