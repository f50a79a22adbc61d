"""Replies on their way: held until their reader listens, kept in order while it reads slowly."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bert_serving.server.limits import Limits

Frames = list[Any]


class _Entry(NamedTuple):
    frames: Frames
    size: int
    since: float


class _Backlog:
    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.size = 0

    def append(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self.size += entry.size

    def popleft(self) -> _Entry:
        entry = self.entries.popleft()
        self.size -= entry.size
        return entry


class Outbox:
    """Replies that could not be sent yet, by identity.

    Args:
        limits: how many may wait, and for how long.
        send: sends one message; False if a reader of it has no room now.
        pause: told, with True, that so much waits for a reader that no more answers to it should be made, and with
            False that there is room again.
        clock: seconds.

    Attributes:
        size: bytes of all replies that wait.
        dropped: replies that were given up.
        readers: how many listen to each identity.
    """

    def __init__(
        self,
        limits: Limits,
        send: Callable[[Frames], bool],
        pause: Callable[[bytes, bool], None] = lambda identity, wanted: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._send = send
        self._pause = pause
        self._paused: set[bytes] = set()
        self._clock = clock
        self._backlogs: OrderedDict[bytes, _Backlog] = OrderedDict()
        self._slow: dict[bytes, None] = {}
        self.readers: Counter[bytes] = Counter()
        self._held = 0
        self.size = 0
        self.dropped = 0

    @property
    def blocked(self) -> bool:
        """Whether a reply waits for a slow reader."""
        return bool(self._slow)

    def full(self, identity: bytes) -> bool:
        """Whether so much waits for this identity that it should ask for no more."""
        backlog = self._backlogs.get(identity)
        return backlog is not None and self._is_full(backlog)

    def put(self, identity: bytes, frames: Frames) -> None:
        """Send a reply, now or as soon as its reader is there and has room."""
        if identity in self.readers and identity not in self._backlogs and self._send(frames):
            return
        size = self._limits.zmq_waiting_reply_bytes + sum(memoryview(frame).nbytes for frame in frames)
        backlog = self._backlogs.setdefault(identity, _Backlog())
        backlog.append(_Entry(frames, size, self._clock()))
        self.size += size
        if identity in self.readers:
            self._slow[identity] = None
            self._check_pace(identity)
        else:
            self._held += size
            limit = self._limits.zmq_max_held_bytes
            while self._held > limit or (self._is_full(backlog) and len(backlog.entries) > 1):
                oldest = next(one for one in self._backlogs if one not in self.readers)
                self._drop_oldest(identity if self._is_full(backlog) else oldest)
        while self.size > self._limits.zmq_max_all_reply_bytes:
            self._drop_oldest(next(iter(self._backlogs)))

    def subscribe(self, identity: bytes) -> None:
        """A reader of this identity has come."""
        self.readers[identity] += 1
        if self.readers[identity] == 1 and identity in self._backlogs:
            self._held -= self._backlogs[identity].size
            self._slow[identity] = None
        self._flush(identity)
        self._check_pace(identity)

    def unsubscribe(self, identity: bytes) -> None:
        """A reader of this identity has gone; what waits is held for the next one."""
        if self.readers[identity] > 1:
            self.readers[identity] -= 1
            return
        if self.readers.pop(identity, 0) and identity in self._backlogs:
            self._held += self._backlogs[identity].size
            del self._slow[identity]
        self._check_pace(identity)

    def flush(self) -> None:
        """Try again what waits for slow readers."""
        for identity in list(self._slow):
            self._flush(identity)
            self._check_pace(identity)

    def expire(self) -> None:
        """Give up replies that nobody came for."""
        limit = self._clock() - self._limits.zmq_hold_seconds
        for identity, backlog in list(self._backlogs.items()):
            while identity not in self.readers and backlog.entries and backlog.entries[0].since < limit:
                self._drop_oldest(identity)

    def _flush(self, identity: bytes) -> None:
        backlog = self._backlogs.get(identity)
        if backlog is None or identity not in self._slow:
            return
        while backlog.entries and self._send(backlog.entries[0].frames):
            self.size -= backlog.popleft().size
        self._drop_if_empty(identity)

    def _is_full(self, backlog: _Backlog) -> bool:
        limits = self._limits
        return backlog.size > limits.zmq_max_reply_bytes or len(backlog.entries) > limits.zmq_max_replies

    def _drop_oldest(self, identity: bytes) -> None:
        backlog = self._backlogs[identity]
        size = backlog.popleft().size
        self.size -= size
        self._held -= 0 if identity in self.readers else size
        self.dropped += 1
        self._drop_if_empty(identity)
        self._check_pace(identity)

    def _check_pace(self, identity: bytes) -> None:
        """Pause at the bound, go on at half of it."""
        if identity in self._paused:
            backlog = self._backlogs[identity] if identity in self._slow else None
            wanted = backlog is not None and 2 * backlog.size > self._limits.zmq_max_reply_bytes
        else:
            wanted = identity in self._slow and self._backlogs[identity].size > self._limits.zmq_max_reply_bytes
        if wanted != (identity in self._paused):
            (self._paused.add if wanted else self._paused.discard)(identity)
            self._pause(identity, wanted)

    def _drop_if_empty(self, identity: bytes) -> None:
        if not self._backlogs[identity].entries:
            del self._backlogs[identity]
            self._slow.pop(identity, None)
