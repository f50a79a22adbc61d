"""Lines and JSON objects of a file with their numbers; bad ones are named."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bert_ft.errors import BertFtError
from bert_ft.files.lines import BOM, decoded, opened

logger = logging.getLogger(__name__)

_SHOWN = 5
_ARRAY = re.compile(r"\s*\[\s*($|\{)")
_BETWEEN = re.compile(r"[\s,]*")


class Line(NamedTuple):
    """One line of a file without its end; ``number`` counts from 1."""

    number: int
    text: str


class RowError(ValueError):
    """Raised while a row is read; the message is the fault."""


class BadRows:
    """What to do about rows that cannot be used.

    Args:
        skip: leave them out and count them, instead of stopping at the first.
        option: how the command at work is told to leave them out, or None if it cannot.
    """

    def __init__(self, skip: bool = False, option: str | None = "--on_bad_row=skip") -> None:
        self._skip = skip
        self._mending = "mend the row" + (f", or leave such rows out with {option}" if option else "")
        self._counts: dict[Path, int] = {}

    @classmethod
    def parse(cls, policy: str) -> BadRows:
        return cls(skip=policy == "skip")

    def report(self, path: Path, line: int, fault: str) -> None:
        """Raise BertFtError, or log that the row is left out."""
        if not self._skip:
            raise BertFtError(f"{path}:{line}: {fault}; {self._mending}")
        count = self._counts[path] = self._counts.get(path, 0) + 1
        if count <= _SHOWN:
            logger.warning("%s:%d: %s; row left out", path, line, fault)

    def skipped(self, path: Path) -> int:
        """Rows of a file left out so far."""
        return self._counts.get(path, 0)

    def summarize(self, path: Path, kept: int) -> None:
        """Log how many rows of a file were left out; refuse a file of which nothing is left."""
        if skipped := self.skipped(path):
            logger.warning("%s: %d rows left out, %d kept", path, skipped, kept)
        if not kept:
            raise BertFtError(f"{path}: no usable row; the file is empty or every row is bad")


def read_lines(path: Path, bad_rows: BadRows) -> Iterator[Line]:
    """Read the lines of a file, blank ones too.

    A byte order mark and CRLF line ends are taken off, and said once. A line that is not UTF-8 is a bad row: its
    number does not come.
    """
    with_cr: list[int] = []
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = decoded(raw, number, path)
            except UnicodeDecodeError as error:
                bad_rows.report(path, number, f"not UTF-8 at byte {error.start} of the line")
                continue
            # Before a separator, further down, the character is a cell of its own: crawled text holds such tokens.
            if line.startswith(BOM) and (number == 1 or not line.startswith((BOM + " ", BOM + "\t"))):
                logger.warning("%s:%d: byte order mark taken off", path, number)
                line = line.lstrip(BOM)
            if line.endswith("\r"):
                with_cr.append(number)
                line = line[:-1]
            yield Line(number, line)
    if with_cr:
        logger.warning("%s:%d: CRLF line ends, %d lines, read as LF", path, with_cr[0], len(with_cr))


def first_text(lines: Iterable[Line]) -> Line | None:
    """The first line that is not blank."""
    return next((line for line in lines if line.text.strip()), None)


def is_array(line: Line) -> bool:
    """Whether a file that begins with this line is a JSON array, of objects if of anything."""
    return _ARRAY.match(line.text) is not None


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises RowError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(f"not a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise RowError(f"a JSON {type(value).__name__}, not an object")
    return value


def read_objects(path: Path, lines: Sequence[Line], bad_rows: BadRows) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line or in one array, each with the line that it begins in."""
    first = first_text(lines)
    for number, text in _items(path, lines) if first and is_array(first) else lines:
        if text.strip():
            try:
                yield number, parse_object(text)
            except RowError as error:
                bad_rows.report(path, number, str(error))


def _items(path: Path, lines: Sequence[Line]) -> Iterator[Line]:
    text = "\n".join(line.text for line in lines)
    end, index, decoder = text.index("[") + 1, 0, json.JSONDecoder()
    before = 0
    while True:
        start = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing too
        index += text.count("\n", before, start)
        if text.startswith("]", start):
            return
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise BertFtError(f"{path}:{lines[index].number}: the JSON array breaks here ({error})") from None
        yield Line(lines[index].number, text[start:end])
        before = start
