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


GONE_AFTER_S = 10.0
"""Nobody at the port for so long after a server said that it stops: no other one takes its place."""


@dataclass
class Refusal:
    """One request's refusals in a row.

    Attributes:
        reply: the last one.
        until: when the refusal becomes the answer.
        count: how many pauses there were.
        due: when the request is to be sent again, or the port to be looked at; None while there is nothing to do.
        sent: the request was sent again, and its answer is awaited.
    """

    reply: wire.ErrorReply
    until: float
    count: int = 0
    due: float | None = None
    sent: bool = False

    @property
    def may_be_final(self) -> bool:
        """Whether the server may be gone for good; of no interest to those who wait for ever."""
        return isinstance(self.reply.error, ServerShuttingDownError) and self.until != float("inf")


class Refused:
    """All requests that wait for another try, by id.

    The pauses grow from 50 ms to 2 s, each cut by a random part of up to a half, so that clients that were refused
    together do not come back together. A request that was refused because the server stops is sent again only while
    somebody listens, which `looked` is told; what was sent again may have been lost with the server, so the port is
    looked at until there is an answer.

    Attributes:
        to_look: due requests that depend on whether somebody listens.
        absent_since: since when nobody does; None while somebody does, or nobody has looked.
    """

    def __init__(self) -> None:
        self.to_look: list[Refusal] = []
        self.absent_since: float | None = None
        self._refusals: dict[int, Refusal] = {}
        self._queue: list[tuple[float, int]] = []

    def __contains__(self, request_id: int) -> bool:
        """Whether the request is put off, so that the server knows nothing of it."""
        refusal = self._refusals.get(request_id)
        return refusal is not None and not refusal.sent

    def add(self, reply: wire.ErrorReply, now: float, limit: float | None) -> None:
        """Put a request off; `limit` in seconds counts from its first refusal in a row."""
        until = float("inf") if limit is None else now + limit
        refusal = self._refusals.setdefault(reply.request_id, Refusal(reply, until))
        refusal.reply, refusal.sent = reply, False
        self._pause(refusal, now, refusal.until)

    def accepted(self, request_id: int) -> None:
        """The request is answered, forgotten, or known to be worked on."""
        refusal = self._refusals.pop(request_id, None)
        if refusal is not None and refusal in self.to_look:
            self.to_look.remove(refusal)

    def take_due(self, now: float) -> list[Refusal]:
        """Those that are to be sent again or given up now; others move to `to_look`."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            due, request_id = heapq.heappop(self._queue)
            refusal = self._refusals.get(request_id)
            if refusal is None or refusal.due != due:
                continue
            refusal.due = None
            if refusal.may_be_final and now < refusal.until:
                self.to_look.append(refusal)
            elif not refusal.sent:
                refusal.sent = True
                taken.append(refusal)
        return taken

    def looked(self, somebody: bool, now: float) -> tuple[list[Refusal], list[Refusal]]:
        """Decide about `to_look`.

        Returns:
            those to be sent again, and those whose server is gone.
        """
        if somebody:
            self.absent_since = None
        elif self.absent_since is None:
            self.absent_since = now
        if self.absent_since is not None and now - self.absent_since >= GONE_AFTER_S:
            return [], [refusal for refusal in self._refusals.values() if refusal.may_be_final]
        looked, self.to_look = self.to_look, []
        again = [refusal for refusal in looked if somebody and not refusal.sent]
        gone_at = float("inf") if self.absent_since is None else self.absent_since + GONE_AFTER_S
        for refusal in looked:
            refusal.sent = somebody
            self._pause(refusal, now, min(refusal.until, gone_at))
        return again, []

    def next_due(self, request_ids: set[int]) -> float:
        """When the next of these may be due, infinity if none is put off."""
        if len(request_ids) == 1:
            refusal = self._refusals.get(next(iter(request_ids)))
            return float("inf") if refusal is None or refusal.due is None else refusal.due
        return self._queue[0][0] if self._queue else float("inf")

    def _pause(self, refusal: Refusal, now: float, latest: float) -> None:
        pause = min(FIRST_PAUSE_S * 2**refusal.count, LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        refusal.count = min(refusal.count + 1, 16)
        refusal.due = min(now + pause, latest)
        heapq.heappush(self._queue, (refusal.due, refusal.reply.request_id))
