"""Log lines in bert-as-service's form: ``I:VENTILATOR:[zmq_door:open:88]:text``."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

_ROOT = "bert_serving"
_ENGINES = "bert_ft"


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's
        context = record.name.rpartition(".")[2]
        place = f"{record.module}:{record.funcName}:{record.lineno}"
        return f"{record.levelname[0]}:{context}:[{place}]:{record.message}"


def get_logger(context: str) -> logging.Logger:
    """The logger of one context: VENTILATOR for the server, WORKER-n for a worker."""
    return logging.getLogger(f"{_ROOT}.{context}")


def start_logging(verbose: bool) -> None:
    """Write log lines to standard error; once a process, whoever asks."""
    for name in (_ROOT, _ENGINES):
        root = logging.getLogger(name)
        root.setLevel(logging.DEBUG if verbose else logging.INFO)
        root.propagate = False
        if not root.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(_Formatter())
            root.addHandler(handler)


class Throttle:
    """Lets a burst of log lines through each second and counts the rest, so that a peer cannot fill the disk."""

    def __init__(self, per_second: int = 10) -> None:
        self._per_second = per_second
        self._second = 0
        self._count = 0
        self.suppressed = 0

    def __call__(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._count = now, 0
        self._count += 1
        if self._count > self._per_second:
            self.suppressed += 1
            return False
        return True


class LoopFaults:
    """What an event loop does about exceptions that nobody catches: one line a second, however many there are."""

    def __init__(self) -> None:
        self._may_log = Throttle(1)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._may_log():
            return
        error = context.get("exception")
        if isinstance(error, OSError):
            get_logger("VENTILATOR").warning("%s: %s", context["message"], error.strerror or error)
        else:
            get_logger("VENTILATOR").error("%s", context["message"], exc_info=error)
