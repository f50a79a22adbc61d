"""Which requests are taken: one count, of those that were received and are not answered, for all frontends."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError


class Admission:
    """Counts requests, by the frontend they came through.

    Args:
        max_queue: from so many unanswered requests on, new ones are refused.

    Attributes:
        bytes: what unanswered requests may take.
    """

    def __init__(self, max_queue: int, limits: Limits) -> None:
        self._max_queue = max_queue
        self._max_bytes = limits.max_waiting_bytes
        self._by_frontend: Counter[str] = Counter()
        self._refusal: tuple[str, str] | None = None
        self.bytes = 0

    def __len__(self) -> int:
        return self._by_frontend.total()

    def of(self, frontend: str) -> int:
        return self._by_frontend[frontend]

    def end(self, code: str, message: str) -> None:
        """Refuse all new requests from now on."""
        self._refusal = (code, message)

    def refusal(self) -> RequestError:
        """What a request is told that gets no answer any more."""
        return RequestError(*(self._refusal or ("shutting_down", "the server is shutting down")))

    def check(self) -> None:
        """Raises RequestError: there is no room (overloaded), or never will be again (shutting_down, server_failed)."""
        if self._refusal is not None:
            raise self.refusal()
        if len(self) >= self._max_queue or self.bytes > self._max_bytes:
            raise RequestError("overloaded", f"{len(self)} requests wait already; ask again later")

    def enter(self, frontend: str, size: int) -> None:
        """A request that may take ``size`` bytes is unanswered from now on, until :meth:`leave`.

        Raises:
            RequestError: see :meth:`check`.
        """
        self.check()
        self._by_frontend[frontend] += 1
        self.bytes += size

    def leave(self, frontend: str, size: int) -> None:
        self._by_frontend[frontend] -= 1
        self.bytes -= size

    @contextlib.contextmanager
    def one(self, frontend: str, size: int) -> Iterator[None]:
        """A request that is answered at the end of the block; see :meth:`enter`."""
        self.enter(frontend, size)
        try:
            yield
        finally:
            self.leave(frontend, size)
