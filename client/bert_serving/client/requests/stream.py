"""Bookkeeping of one `encode_async` call."""

from __future__ import annotations

from bert_serving.client.requests.session import Session

WINDOW = 64
"""Batches under way at a time: enough to keep a server busy, few enough for its queue."""


class Stream:
    """What a stream of batches has sent and still waits for."""

    def __init__(self, session: Session, max_num_batch: int | None) -> None:
        self.waiting: set[int] = set()
        self._session = session
        self._left = max_num_batch or None
        self._ended = False
        self._failure: Exception | None = None

    def wants_more(self) -> bool:
        """Whether the next batch may be drawn from the source."""
        return not self._ended and self._left != 0 and len(self.waiting) < WINDOW

    def sent(self, request_id: int) -> None:
        """A batch was drawn and sent."""
        self.waiting.add(request_id)
        if self._left is not None:
            self._left -= 1

    def end(self, failure: Exception | None = None) -> None:
        """The source has no more batches, or failed; what was sent before is still delivered."""
        self._ended = True
        self._failure = failure

    def finish(self) -> None:
        """Everything is delivered: raise what the source raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def hand_over(self) -> None:
        """Leave the undelivered rest to `fetch`."""
        self._session.detached |= self.waiting
        self.waiting.clear()

    def close(self) -> None:
        """Drop the undelivered rest."""
        self._session.forget(self.waiting)
        self.waiting.clear()
