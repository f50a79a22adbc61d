"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from bert_ft.logs import Progress, progress_bar

_T = TypeVar("_T")
_IMPATIENCE = 1.0  # seconds after which a second signal is not the echo of the first


class StopSignals:
    """Within ``with``, SIGINT (Ctrl-C) and SIGTERM are noted, and acted on where nothing is lost by it.

    A step or a save is never cut in two, and nothing is raised inside TensorFlow, which swallows an exception that a
    callback of its own meets: KeyboardInterrupt, with the signal's number as its argument, comes from :meth:`check`
    between steps, from what :meth:`watched` gives between batches, and from the signal itself while :meth:`each` waits.
    A second signal, a second or more after the first, ends the process as SIGKILL would. A signal that is ignored
    (nohup) stays ignored; outside the main thread nothing is changed.

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
            raise KeyboardInterrupt(self.received)

    def watched(self, progress: Progress | None = None) -> Progress:
        """A progress that checks for a signal whenever it advances, and advances the one given."""
        return _Watched(self, progress)

    def each(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items; a signal may interrupt the making of one, such as reading from a pipe, at any moment."""
        made = iter(items)
        while True:
            with self._at_once():
                try:
                    item = next(made)
                except StopIteration:
                    break
            yield item

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        self._raises = True
        try:
            self.check()
            yield
        finally:
            self._raises = False
        self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _IMPATIENCE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt(self.received)


@contextlib.contextmanager
def watched_bar(total: int, unit: str, description: str) -> Iterator[Progress]:
    """A progress bar for work that SIGINT and SIGTERM end where it advances; see :class:`StopSignals`."""
    with StopSignals() as stop, progress_bar(total, unit, description) as bar:
        yield stop.watched(bar)


class _Watched:
    def __init__(self, stop: StopSignals, progress: Progress | None) -> None:
        self._stop, self._progress = stop, progress

    def update(self, count: int) -> None:
        if self._progress is not None:
            self._progress.update(count)
        self._stop.check()
