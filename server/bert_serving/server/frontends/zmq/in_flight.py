"""Requests of the ZeroMQ door that are worked on: counted, and dropped when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Container, Coroutine
from typing import Any

from bert_serving.client.wire import error_reply
from bert_serving.server.answering import Answering
from bert_serving.server.frontends.zmq.outbox import Frames
from bert_serving.server.frontends.zmq.request import Request

FRONTEND = "zmq"

Work = Coroutine[Any, Any, Frames]


class InFlight:
    """Runs the work of each request as a task, and sees to it that every request gets exactly one answer.

    Args:
        answering: counts it, and says what the caller is told of a fault.
        reply: sends a request's answer.
    """

    def __init__(self, answering: Answering, reply: Callable[[Request, Frames], None]) -> None:
        self._answering = answering
        self._reply = reply
        self._requests: Counter[tuple[bytes, int]] = Counter()
        self._tasks: dict[bytes, set[asyncio.Task[None]]] = {}
        self._last_subscribed: dict[bytes, float] = {}
        self._dropped: set[asyncio.Task[None]] = set()

    def __contains__(self, key: tuple[bytes, int]) -> bool:
        return key in self._requests

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def keys(self) -> list[tuple[bytes, int]]:
        """Address and id of each request."""
        return list(self._requests.elements())

    def start(self, request: Request, work: Callable[[], Work], has_subscriber: bool) -> None:
        """Begin to work on a request.

        Args:
            work: its result is the answer, without the first and the last frame.
            has_subscriber: whether anybody listens to its address now.

        Raises:
            RequestError: new requests are refused.
        """
        self._answering.admission.enter(FRONTEND, self._cost(request))
        address = request.address
        task = asyncio.get_running_loop().create_task(self._run(request, work))
        self._tasks.setdefault(address, set()).add(task)
        if has_subscriber:
            self._last_subscribed[address] = time.monotonic()
        self._requests[request.key] += 1
        task.add_done_callback(lambda _: self._forget(address, task))

    def drop_without_subscriber(self, subscribed: Container[bytes]) -> int:
        """Give up the requests of clients that listened and have been gone for a while; how many."""
        now, count = time.monotonic(), 0
        for address in list(self._tasks):
            if address in subscribed:
                self._last_subscribed[address] = now
            elif now - self._last_subscribed.get(address, now) > self._answering.limits.zmq_gone_seconds:
                tasks = self._tasks[address] - self._dropped
                self._dropped |= tasks
                count += len(tasks)
                for task in tasks:
                    task.cancel()
        return count

    def cancel(self) -> None:
        for tasks in self._tasks.values():
            for task in tasks:
                task.cancel()

    async def _run(self, request: Request, work: Callable[[], Work]) -> None:
        try:
            frames = await work()
        except asyncio.CancelledError:
            if asyncio.current_task() not in self._dropped:
                raise
            gone = self._answering.limits.zmq_gone_seconds
            message = f"given up, for its client did not listen for {gone:g} s; send it again"
            frames = [*error_reply("overloaded", message)]
        except Exception as error:
            fault = self._answering.fault(error, f"request {request.id!r} of {request.identity!r}")
            frames = [*error_reply(fault.code, fault.message)]
        finally:
            self._answering.admission.leave(FRONTEND, self._cost(request))
            self._requests[request.key] -= 1
            if not self._requests[request.key]:
                del self._requests[request.key]
        self._reply(request, frames)

    def _forget(self, address: bytes, task: asyncio.Task[None]) -> None:
        self._dropped.discard(task)
        self._tasks[address].discard(task)
        if not self._tasks[address]:
            del self._tasks[address]
            self._last_subscribed.pop(address, None)

    def _cost(self, request: Request) -> int:
        """Bytes that a request may take while it waits."""
        return len(request.payload) + request.announced * self._answering.limits.waiting_text_bytes
