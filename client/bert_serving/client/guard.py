"""ZeroMQ sockets belong to one thread and do not survive a fork: say so instead of corrupting them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class CallGuard:
    """Context manager around each use of the sockets; refuses a second one while it lasts."""

    def __init__(self, check_usable: Callable[[], None]) -> None:
        self._check_usable = check_usable
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._check_usable()
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "this client is in the middle of another call; an instance serves one thread: make one per "
                "thread, or use ConcurrentBertClient"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
