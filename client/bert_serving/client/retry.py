"""Requests that the server refused for the moment, and when they are sent again."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from bert_serving.client import wire
from bert_serving.client.errors import ServerOverloadedError, ServerShuttingDownError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

TEMPORARY = (ServerOverloadedError, ServerShuttingDownError)
"""Refusals that say nothing about the request; after the second kind a new server may take the place of the old."""


@dataclass
class Refusal:
    """One request's refusals in a row.

    Attributes:
        reply: the last one.
        until: when the refusal becomes the answer.
        count: how many there were.
        due: when the request is to be sent again; None while its answer is awaited.
    """

    reply: wire.ErrorReply
    until: float
    count: int = 0
    due: float | None = None


class Refused:
    """All requests that wait for another try, by id.

    The pauses grow from 50 ms to 2 s, each cut by a random part of up to a half, so that clients that were refused
    together do not come back together.
    """

    def __init__(self) -> None:
        self._refusals: dict[int, Refusal] = {}
        self._queue: list[tuple[float, int]] = []

    def __contains__(self, request_id: int) -> bool:
        """Whether the request is put off, so that the server knows nothing of it."""
        refusal = self._refusals.get(request_id)
        return refusal is not None and refusal.due is not None

    def add(self, reply: wire.ErrorReply, now: float, limit: float | None) -> None:
        """Put a request off; `limit` in seconds counts from its first refusal in a row."""
        until = float("inf") if limit is None else now + limit
        refusal = self._refusals.setdefault(reply.request_id, Refusal(reply, until))
        pause = min(FIRST_PAUSE_S * 2**refusal.count, LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        refusal.reply = reply
        refusal.count = min(refusal.count + 1, 16)
        refusal.due = min(now + pause, refusal.until)
        heapq.heappush(self._queue, (refusal.due, reply.request_id))

    def accepted(self, request_id: int) -> None:
        """The request is answered, forgotten, or known to be worked on."""
        self._refusals.pop(request_id, None)

    def take_due(self, now: float) -> list[Refusal]:
        """Those whose time has come; they are not put off any more."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            due, request_id = heapq.heappop(self._queue)
            refusal = self._refusals.get(request_id)
            if refusal is not None and refusal.due == due:
                refusal.due = None
                taken.append(refusal)
        return taken

    def next_due(self, request_ids: set[int]) -> float:
        """When the next of these may be due, infinity if none is put off."""
        if len(request_ids) == 1:
            refusal = self._refusals.get(next(iter(request_ids)))
            return float("inf") if refusal is None or refusal.due is None else refusal.due
        return self._queue[0][0] if self._queue else float("inf")
