"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from bert_ft.command import OneLineError

_IMPATIENCE = 1.0  # seconds after which a second signal is not the echo of the first


class StopSignals:
    """Within ``with``, SIGINT (Ctrl-C) and SIGTERM are noted, and acted on where nothing is lost by it.

    A step or a save is never cut in two: :meth:`check` between them raises KeyboardInterrupt, and so does the signal
    itself within :meth:`at_once`. A second signal, a second or more after the first, ends the process as SIGKILL
    would. A signal that is ignored (nohup) stays ignored; outside the main thread nothing is changed.

    Attributes:
        received: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._since = 0.0
        self._raises = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come."""
        if self.received is not None:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Where a signal may interrupt anything."""
        self._raises = True
        try:
            self.check()
            yield
        finally:
            self._raises = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _IMPATIENCE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt


def run_command(run: Callable[[], int]) -> None:
    """Call what a command does, and exit with the status that it returns unless that is 0."""
    try:
        status = run()
    except KeyboardInterrupt:
        raise OneLineError("interrupted", 128 + signal.SIGINT) from None
    if status:
        sys.exit(status)
