"""`AsyncBertClient`: the client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import zmq.asyncio
from bert_serving.client import wire
from bert_serving.client.base import ClientCore
from bert_serving.client.checks import Texts, check_tag_output
from bert_serving.client.requests.stream import Stream
from bert_serving.client.results import Classification, Response, array_of, classifications_of, entities_of, info_of

Batches = Iterable[Texts] | AsyncIterable[Texts]


@dataclass(eq=False)
class _Waiter:
    wanted: set[int]
    arrival: asyncio.Event = field(default_factory=asyncio.Event)


class AsyncBertClient(ClientCore):
    """The asyncio twin of `BertClient`: same arguments, same methods, awaited.

    The constructor takes what `ClientCore` describes. The server is contacted on entering the
    context or by the first call, so TimeoutError and AttributeError come from there. Any number of
    tasks of one event loop may share an instance.

    Example::

        async with AsyncBertClient() as client:
            first, second = await asyncio.gather(client.encode(["one"]), client.encode(["two"]))
    """

    _loop: asyncio.AbstractEventLoop | None

    def _open(self) -> None:
        self._loop = None
        self._closed = False
        self._first_contact = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._waiters: list[_Waiter] = []

    async def close(self) -> None:
        """Close the connection; calls under way raise RuntimeError. Harmless when repeated."""
        if self._closed or self._is_forked():
            return
        self._closed = True
        if self._loop is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._wake()
            self._connection.close()

    async def __aenter__(self) -> AsyncBertClient:
        try:
            await self._connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def server_config(self) -> dict[str, Any]:
        """The server's configuration, asked anew each time."""
        await self._connect()
        return await self._command(wire.SHOW_CONFIG)

    async def server_status(self) -> dict[str, Any]:
        """The server's configuration and its statistics, asked anew each time."""
        await self._connect()
        return await self._command(wire.SHOW_STATUS)

    async def encode(
        self, texts: Texts, blocking: bool = True, is_tokenized: bool = False, show_tokens: bool = False
    ) -> Any:
        """As `BertClient.encode`."""
        await self._connect()
        request_id = self._open_encode(texts, is_tokenized)
        if not blocking:
            self._session.detached.add(request_id)
            self._flush()
            return None
        return self._encoded(await self._answer(request_id), show_tokens)

    async def tag(self, texts: Texts, is_tokenized: bool = False, output: str = "entities") -> list[list[Any]]:
        """As `BertClient.tag`."""
        output = check_tag_output(output)
        await self._know_server()
        request_id = self._open_task(texts, is_tokenized, task="tag", output=output)
        return entities_of(await self._answer(request_id), output)

    async def classify(self, texts: list[str]) -> list[Classification]:
        """As `BertClient.classify`."""
        await self._know_server()
        request_id = self._open_task(texts, False, task="classify")
        return classifications_of(await self._answer(request_id), self._notice())

    async def fetch(self, delay: float = 0.0) -> AsyncIterator[Response]:
        """As `BertClient.fetch`."""
        await asyncio.sleep(delay)
        await self._connect()
        notice = self._notice()
        while self._session.detached:
            reply = await self._wait(self._session.detached)
            if reply is not None:
                yield self._response(array_of(reply), notice)

    async def fetch_all(self, sort: bool = True, concat: bool = False) -> Any:
        """As `BertClient.fetch_all`."""
        wanted = self._session.detached
        if not wanted:
            return None
        await self._connect()
        replies: list[wire.ArrayReply] = []
        try:
            while wanted:
                reply = await self._wait(wanted)
                if reply is not None:
                    replies.append(array_of(reply))
            return self._joined(replies, sort, concat)
        except BaseException:
            self._session.put_back(replies)
            raise

    async def encode_async(
        self,
        batch_generator: Batches,
        max_num_batch: int | None = None,
        delay: float = 0.1,
        is_tokenized: bool = False,
        show_tokens: bool = False,
    ) -> AsyncIterator[Response]:
        """As `BertClient.encode_async`; `batch_generator` may be an async iterable.

        Results of earlier batches are yielded while an async iterable makes the next one.
        """
        await self._connect()
        source, stream, notice = _batches(batch_generator), Stream(self._session, max_num_batch), self._notice()
        draw: asyncio.Task[Texts | None] | None = None
        answer: asyncio.Task[wire.Reply | None] | None = None
        try:
            while True:
                if draw is None and stream.wants_more():
                    draw = asyncio.create_task(_next_batch(source))
                if answer is None and stream.waiting:
                    answer = asyncio.create_task(self._wait(stream.waiting))
                running = [task for task in (draw, answer) if task is not None]
                if not running:
                    stream.finish()
                    return
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                if draw is not None and draw.done():
                    self._send_drawn(draw, stream, is_tokenized)
                    draw = None
                if answer is not None and answer.done():
                    reply, answer = answer.result(), None
                    while reply is not None:
                        yield self._response(array_of(reply), notice)
                        reply = self._session.take(stream.waiting)
        except Exception:
            stream.hand_over()
            raise
        finally:
            left = [task for task in (draw, answer) if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            stream.close()

    def _send_drawn(self, draw: asyncio.Task[Texts | None], stream: Stream, is_tokenized: bool) -> None:
        try:
            texts = draw.result()
            if texts is None:
                stream.end()
                return
            stream.sent(self._open_encode(texts, is_tokenized))
            self._flush()
        except Exception as failure:
            stream.end(failure)

    async def _connect(self) -> None:
        """Open the sockets and make the first contact, unless that is done."""
        self._check_usable()
        if self._loop is None:
            self._connection = self._connected(zmq.asyncio.Context())
            self._loop = asyncio.get_running_loop()
            self._reader = asyncio.create_task(self._read())
        if self._checks_server:
            async with self._first_contact:
                if self._checks_server:
                    self._accept_config(await self._command(wire.SHOW_CONFIG, first=True))
                    self._checks_server = False

    async def _know_server(self) -> None:
        await self._connect()
        if self._session.server is None:
            await self._command(wire.SHOW_CONFIG, first=True)

    async def _command(self, command: bytes, first: bool = False) -> dict[str, Any]:
        info = info_of(await self._answer(self._session.open(command), first))
        if command == wire.SHOW_CONFIG:
            self._session.learn(info)
        return info

    async def _answer(self, request_id: int, first: bool = False) -> wire.Reply:
        """Wait for one reply; if the wait fails the request is forgotten."""
        try:
            reply = await self._wait({request_id}, first)
            assert reply is not None, "nobody else takes the reply to a request of one's own"
            return reply
        except BaseException:
            self._session.forget([request_id])
            raise

    async def _wait(self, wanted: set[int], first: bool = False) -> wire.Reply | None:
        """The next reply to one of `wanted`, or None as soon as others have taken them all."""
        watch = self._watch(wanted, time.monotonic(), first)
        waiter = _Waiter(wanted)
        self._waiters.append(waiter)
        try:
            while True:
                self._check_usable()
                reply = self._session.take(wanted)
                if reply is not None or not wanted:
                    return reply
                try:
                    pause = watch.step(time.monotonic())
                except TimeoutError as error:
                    raise await asyncio.to_thread(self._explained, error, first) from None
                self._flush()
                if self._session.refused.to_look:
                    await self._look()
                    continue
                waiter.arrival.clear()
                try:
                    await asyncio.wait_for(waiter.arrival.wait(), pause)
                except asyncio.TimeoutError:
                    continue
        finally:
            self._waiters.remove(waiter)
            self._wake()

    async def _look(self) -> None:
        """One look for all that wait for it."""
        async with self._looking:
            if self._session.refused.to_look:
                self._session.looked(await asyncio.to_thread(self._absence), time.monotonic())
                self._flush()
                self._wake()

    async def _read(self) -> None:
        while True:
            frames = await self._connection.receiver.recv_multipart(copy=False)
            self._session.receive([frame.buffer for frame in frames], time.monotonic())
            self._flush()
            self._wake()

    def _wake(self) -> None:
        """Let those waits go on that have something to do."""
        ready = self._session.ready.keys()
        for waiter in self._waiters:
            if self._closed or not waiter.wanted or not waiter.wanted.isdisjoint(ready):
                waiter.arrival.set()

    def _check_usable(self) -> None:
        self._check_process()
        if self._closed:
            raise RuntimeError("this client is closed")
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this client belongs to another event loop; make one in each loop")
        if self._loop is not None and self._reader.done():
            self._reader.result()


async def _batches(source: Batches) -> AsyncIterator[Texts]:
    if isinstance(source, AsyncIterable):
        async for texts in source:
            yield texts
    else:
        for texts in source:
            yield texts


async def _next_batch(source: AsyncIterator[Texts]) -> Texts | None:
    return await anext(source, None)
