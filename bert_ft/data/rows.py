"""Lines and tab-separated rows of a file with their numbers; bad ones are named."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bert_ft.errors import BertFtError

logger = logging.getLogger(__name__)

_BOM = "\ufeff"
_SHOWN = 5


class Line(NamedTuple):
    """One line of a file without its end; ``number`` counts from 1."""

    number: int
    text: str


class Row(NamedTuple):
    """One line of a file.

    Attributes:
        line: its number from 1.
        cells: what stands between the tabs; quotes have no meaning, as in Google's readers.
    """

    line: int
    cells: list[str]


class BadRows:
    """What to do about rows that cannot be used.

    Args:
        skip: leave them out and count them, instead of stopping at the first.
    """

    def __init__(self, skip: bool = False) -> None:
        self._skip = skip
        self._counts: dict[Path, int] = {}

    @classmethod
    def parse(cls, policy: str) -> BadRows:
        return cls(skip=policy == "skip")

    def report(self, path: Path, line: int, fault: str) -> None:
        """Raise BertFtError, or log that the row is left out."""
        if not self._skip:
            raise BertFtError(f"{path}:{line}: {fault}; mend the row, or leave such rows out with --on_bad_row=skip")
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


def read_rows(path: Path, bad_rows: BadRows) -> Iterator[Row]:
    """Read a tab-separated file; blank lines are passed over. Line ends and encoding as in ``read_lines``."""
    for number, text in read_lines(path, bad_rows):
        if text.strip():
            yield Row(number, text.split("\t"))


def read_lines(path: Path, bad_rows: BadRows) -> Iterator[Line]:
    """Read the lines of a file, blank ones too.

    A byte order mark and CRLF line ends are taken off, and said once. A line that is not UTF-8 is a bad row: its
    number does not come.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BertFtError(f"{path}: cannot be read ({error.strerror or error})") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BertFtError(f"{path}:1: the file is UTF-16; save it as UTF-8")
    with_cr: list[int] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            bad_rows.report(path, number, f"not UTF-8 at byte {error.start} of the line")
            continue
        # Before a separator, further down, the character is a cell of its own: crawled text holds such tokens.
        if line.startswith(_BOM) and (number == 1 or not line.startswith((_BOM + " ", _BOM + "\t"))):
            logger.warning("%s:%d: byte order mark taken off", path, number)
            line = line.lstrip(_BOM)
        if line.endswith("\r"):
            with_cr.append(number)
            line = line[:-1]
        yield Line(number, line)
    if with_cr:
        logger.warning("%s:%d: CRLF line ends, %d lines, read as LF", path, with_cr[0], len(with_cr))
