"""Work that is done again and again, whatever becomes of it this time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bert_serving.server.monitoring.logs import Throttle, get_logger


class Periodic:
    """Calls something on the loop, every so many seconds, until closed.

    Args:
        seconds: from the end of a call to the next.
        work: a fault of it is logged, once in a while, and does not end the calls.
    """

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self._seconds = seconds
        self._work = work
        self._timer: asyncio.TimerHandle | None = None
        self._may_log = Throttle(1)

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._call)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _call(self) -> None:
        try:
            self._work()
        except Exception as error:
            if self._may_log():
                name = getattr(self._work, "__qualname__", self._work)
                get_logger("VENTILATOR").warning("%s: %s: %s", name, type(error).__name__, error)
        finally:
            if self._timer is not None:
                self.start()
