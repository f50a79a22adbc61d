"""Texts from a file or standard input, a line each, and lines to a file that appears when it is complete."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, TypeVar

from bert_ft.errors import BertFtError

STANDARD = "-"
BOM = "\ufeff"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLOCK = 1 << 20
_T = TypeVar("_T")


def count_lines(source: str) -> int | None:
    """Lines of a file; None for standard input and everything else that can be read only once.

    Raises:
        BertFtError: the file cannot be read.
    """
    if source == STANDARD or not _is_plain(source):
        return None
    lines, last = 0, b"\n"
    with opened(source) as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def text_chunks(source: str, max_lines: int = 4096, max_bytes: int = 1 << 20) -> Iterator[list[str]]:
    """The lines of a UTF-8 file or, for ``-``, of standard input, without their ends.

    Lines end at \\n or \\r\\n; a byte order mark is taken off.

    Args:
        max_lines, max_bytes: a chunk ends at the line that reaches one of them.

    Raises:
        BertFtError: the file cannot be read, or a line is not UTF-8.
    """
    name = "standard input" if source == STANDARD else source
    chunk: list[str] = []
    size = 0
    with opened(source) as file:
        for number, raw in enumerate(file, start=1):
            try:
                text = decoded(raw, number, name)
            except UnicodeDecodeError:
                raise BertFtError(f"{name}:{number}: not UTF-8; save the file as UTF-8") from None
            chunk.append((text.removeprefix(BOM) if number == 1 else text).removesuffix("\r"))
            size += len(raw)
            if len(chunk) == max_lines or size >= max_bytes:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


@contextlib.contextmanager
def replaced_lines(target: str) -> Iterator[Callable[[str], object]]:
    """Give a function that writes text to a file; the file takes its name when the block ends without error.

    ``-`` is standard output; a device or pipe is written as it is.

    Raises:
        BertFtError: the place cannot be written, or the disk is full.
    """
    path = Path(target).resolve()
    aside = path.with_name(f".{path.name}.{os.getpid()}.part") if is_replaced(target) else None
    if target == STANDARD:
        file = _faults_named(target, lambda: os.fdopen(1, "w", encoding="utf-8", closefd=False))
    else:
        file = _faults_named(target, lambda: (aside or path).open("w", encoding="utf-8", newline="\n"))
    try:
        yield lambda text: _faults_named(target, lambda: file.write(text))
        _faults_named(target, lambda: _finish(file, aside, path))
    finally:
        with contextlib.suppress(OSError):
            file.close()
        if aside:
            aside.unlink(missing_ok=True)


def is_replaced(target: str) -> bool:
    """Whether :func:`replaced_lines` leaves what was there until the new lines are complete."""
    return target != STANDARD and _is_plain(target)


def _finish(file: TextIO, aside: Path | None, path: Path) -> None:
    file.flush()
    if aside:
        os.fsync(file.fileno())
        os.replace(aside, path)


def _faults_named(target: str, action: Callable[[], _T]) -> _T:
    try:
        return action()
    except OSError as error:
        name = "standard output" if target == STANDARD else target
        raise BertFtError(f"{name}: cannot be written ({error.strerror or error})") from error


def _is_plain(path: str) -> bool:
    return not Path(path).exists() or Path(path).is_file()


@contextlib.contextmanager
def opened(source: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file, or for ``-`` standard input. Raises BertFtError if it cannot be opened."""
    if source == STANDARD:
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except OSError as error:
            raise BertFtError(f"{source}: cannot be read ({error.strerror or error})") from None
        yield file


def decoded(raw: bytes, number: int, name: str | os.PathLike[str]) -> str:
    """A line without its line feed; ``number`` counts from 1.

    Raises:
        BertFtError: the file is UTF-16.
        UnicodeDecodeError: the line is not UTF-8.
    """
    if number == 1 and raw.startswith(_UTF16):
        raise BertFtError(f"{name}:1: the file is UTF-16; save it as UTF-8")
    return raw.decode("utf-8").removesuffix("\n")
