"""Handing replies to libzmq without blocking and without filling its memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import zmq
from bert_serving.server.frontends.zmq.outbox import Frames

ZERO_COPY_BYTES = 64 << 10


class Sender:
    """Sends replies; called with the frames of one, the topic first.

    Args:
        max_bytes: of large frames that libzmq holds for one reader.
        on_full: called when a reader has no room, so that somebody tries again.
    """

    def __init__(self, replies: zmq.Socket[bytes], max_bytes: int, on_full: Callable[[], None]) -> None:
        self._socket = replies
        self._max_bytes = max_bytes
        self._on_full = on_full
        self._on_the_way: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def __call__(self, frames: Frames) -> bool:
        """False if the reader has no room now."""
        topic = frames[0]
        large = [place for place, frame in enumerate(frames) if memoryview(frame).nbytes >= ZERO_COPY_BYTES]
        if large and self._bytes(topic) > self._max_bytes:
            self._on_full()
            return False
        parts, sent = list(frames), []
        for place in large:
            parts[place] = frame = zmq.Frame(frames[place], copy=False, track=True)
            sent.append((frame.tracker, len(frame)))
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=not large)
        except zmq.Again:
            self._on_full()
            return False
        if large:
            self._on_the_way.setdefault(topic, deque()).extend(sent)
        return True

    def sweep(self) -> None:
        """Forget what has gone."""
        for topic in list(self._on_the_way):
            self._bytes(topic)

    def _bytes(self, topic: bytes) -> int:
        waiting = self._on_the_way.get(topic)
        if waiting is None:
            return 0
        while waiting and waiting[0][0].done:
            waiting.popleft()
        if not waiting:
            del self._on_the_way[topic]
        return sum(size for _, size in waiting)
