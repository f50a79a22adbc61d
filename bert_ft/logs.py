"""Log lines and progress bars of the training tools, on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

from tqdm import tqdm

_quiet = ContextVar("quiet", default=False)


class Progress(Protocol):
    """What a tqdm bar is to those who advance it."""

    def update(self, count: int, /) -> object:
        """So many units more are done."""


def progress_bar(total: int | None, unit: str, description: str, initial: int = 0) -> tqdm:
    """A tqdm bar on standard error; where that is no terminal but a file, a line now and then.

    Args:
        initial: units done before.
    """
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        unit=unit,
        desc=description,
        initial=initial,
        dynamic_ncols=True,
        mininterval=interval,
        disable=_quiet.get(),
    )


class _AboveProgressBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def log_to_stderr() -> None:
    """Show this project's messages above any progress bar; a warning says so in its first word."""
    handler = _AboveProgressBar()
    handler.setFormatter(_PlainFormatter())
    logger = logging.getLogger("bert_ft")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextlib.contextmanager
def messages_on_stderr(quiet: bool = False) -> Iterator[None]:
    """As :func:`log_to_stderr` within ``with``; quiet: warnings alone, and no progress bars."""
    logger = logging.getLogger("bert_ft")
    before = logger.handlers, logger.propagate, logger.level
    was_quiet = _quiet.set(quiet)
    log_to_stderr()
    if quiet:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
        _quiet.reset(was_quiet)


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"
