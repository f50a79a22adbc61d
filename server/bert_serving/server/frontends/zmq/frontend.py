"""The two legacy sockets: requests come in through PULL, replies go out through XPUB."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import zmq
from bert_serving.client.wire import RELOAD, SHOW_CONFIG, SHOW_STATE, SHOW_STATUS, TERMINATION, error_reply
from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.json_texts import parse_texts
from bert_serving.server.frontends.zmq.connections import Guard
from bert_serving.server.frontends.zmq.curve import load_curve_keys
from bert_serving.server.frontends.zmq.in_flight import FRONTEND, InFlight, Work
from bert_serving.server.frontends.zmq.outbox import Frames, Outbox
from bert_serving.server.frontends.zmq.reply import answer_frames
from bert_serving.server.frontends.zmq.request import Request, UnanswerableError
from bert_serving.server.frontends.zmq.sender import Sender
from bert_serving.server.frontends.zmq.sockets import bind
from bert_serving.server.frontends.zmq.subscribers import Subscribers
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.options import ServerOptions
from bert_serving.server.process.periodic import Periodic
from bert_serving.server.settings import is_loopback
from bert_serving.server.tasks.registry import TaskRequest
from bert_serving.server.tasks.request import RequestError

from bert_ft.errors import BertFtError

MESSAGES_A_TURN = 200
RETRY_SECONDS = 0.01
EXPIRE_SECONDS = 1.0
SHARING_SECONDS = 0.1
SEND_HIGH_WATER_MARK = 64
LINGER_MS = 2000
LAST_MOMENT_SECONDS = 0.3
"""After an answer: its client may have the next request on the way."""


class ZmqFrontend:
    """Legacy protocol and its additions. Nothing that a peer sends raises out of it."""

    name: ClassVar[str] = FRONTEND

    def __init__(self, options: ServerOptions, service: Service, max_connections: int | None = None) -> None:
        self._host = options.host
        self._ports = self.ports(options)
        self._allow_remote_terminate = options.allow_remote_terminate
        self._service = service
        self._answering = answering = service.answering
        self._limits = limits = answering.limits
        self._keys = keys = load_curve_keys(options)
        self.warnings: Sequence[str] = keys.warnings if keys else []
        self._context = zmq.Context()
        self._requests = self._context.socket(zmq.PULL)
        self._replies = self._context.socket(zmq.XPUB)
        self._sender = Sender(self._replies, limits.zmq_max_socket_bytes, self._try_again)
        self._outbox = Outbox(limits, self._sender, answering.pause)
        self._subscribers = Subscribers(
            self._replies, options.port_out, self._outbox, self._warn, limits, keys is not None, max_connections
        )
        self._guard = Guard(options.port, 3 * limits.max_request_bytes, limits.zmq_max_unended_bytes, max_connections)
        self._more_waits = False
        self._in_flight = InFlight(answering, self._deliver)
        self._last_answer = float("-inf")
        self._retry_timer: asyncio.TimerHandle | None = None
        self._expiry = Periodic(EXPIRE_SECONDS, self._expire)
        self._logger = get_logger("VENTILATOR")

    @staticmethod
    def ports(options: ServerOptions) -> dict[str, int]:
        return {"-port": options.port, "-port_out": options.port_out}

    def open(self) -> None:
        for socket in (self._requests, self._replies):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.IPV6, ":" in self._host)
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._requests.setsockopt(zmq.MAXMSGSIZE, 2 * self._limits.max_request_bytes)
        self._replies.setsockopt(zmq.MAXMSGSIZE, 64 << 10)
        self._replies.setsockopt(zmq.XPUB_MANUAL, 1)
        self._replies.setsockopt(zmq.XPUB_NODROP, 1)
        self._replies.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
        if self._keys is not None:
            self._keys.start(self._context)
            self._keys.apply(self._requests)
            self._keys.apply(self._replies)
        try:
            for socket, flag in ((self._requests, "-port"), (self._replies, "-port_out")):
                bind(socket, self._host, self._ports[flag], flag)
        except BertFtError:
            if self._keys is not None:
                self._keys.stop()
            self._context.destroy(linger=0)
            raise

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._replies.fileno(), self._subscribers.drain)
        loop.add_reader(self._requests.fileno(), self._drain_requests)
        self._drain_requests()
        self._expiry.start()
        self._logger.info("requests at port %d, results at port %d of %s", *self._ports.values(), self._host)

    async def idle(self) -> None:
        while self._in_flight or self._outbox.blocked:
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        self._drain_requests()
        refusal = self._answering.admission.refusal()
        for address, number in self._in_flight.keys:
            self._refuse(address, b"%d" % number, refusal)
        end = self._last_answer + LAST_MOMENT_SECONDS
        while (left := end - time.monotonic()) > 0:
            if self._requests.poll(math.ceil(1000 * left)):
                self._drain_requests()
        self._in_flight.cancel()
        self._expiry.close()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        for socket, linger in ((self._requests, 0), (self._replies, LINGER_MS)):
            if not socket.closed:
                with contextlib.suppress(ValueError, OSError):
                    loop.remove_reader(socket.fileno())
                socket.close(linger=linger)
        if self._keys is not None:
            self._keys.stop()
        self._context.term()

    def status(self) -> dict[str, int]:
        return {
            "waiting_reply_bytes": self._outbox.size,
            "listening_identities": len(self._outbox.readers),
            "dropped_replies": self._outbox.dropped,
        }

    # --- requests

    def _drain_requests(self) -> None:
        if self._requests.closed:
            return
        self._subscribers.drain()  # who asks has mostly subscribed by then
        for _ in range(MESSAGES_A_TURN):
            try:
                frames = self._requests.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._guard.heard(frames[0])
            self._receive(frames)
        if not self._more_waits:
            self._more_waits = True
            asyncio.get_running_loop().call_soon(self._drain_more)

    def _drain_more(self) -> None:
        self._more_waits = False
        self._drain_requests()

    def _receive(self, frames: list[zmq.Frame]) -> None:
        try:
            request = Request.read(frames, self._limits, self._keys is not None)
        except UnanswerableError as error:
            self._warn(f"a message of {len(frames)} frames was dropped: {error}")
            return
        except Exception as error:
            self._answering.fault(error, f"a message of {len(frames)} frames was dropped: its reading")
            return
        try:
            self._handle(request)
        except Exception as error:
            self._refuse(request.address, request.id, self._answering.fault(error, f"request {request.id!r}"))

    def _handle(self, request: Request) -> None:
        request.check(self._limits.max_request_bytes)
        if request.payload == TERMINATION:
            self._check_trust(request)
            self._service.stop(f"TERMINATION from {request.peer}")
        elif request.payload == SHOW_CONFIG:
            self._answer_config(request)
        elif request.payload == SHOW_STATUS:
            self._answering.statistic.add_system_request(request.address)
            self._answer(request, self._service.status(request.identity, self._trusts(request)))
        elif request.payload == SHOW_STATE:
            self._answer_state(request)
        elif request.payload == RELOAD:
            self._check_trust(request)
            self._start(request, partial(self._reload, request))
        else:
            self._begin(request)

    def _answer_config(self, request: Request) -> None:
        """At once, but a little later for an identity that asked before.

        Another client that has come to share the identity may still be on its way to the result port.
        """
        asked_before = self._answering.statistic.has_seen(request.address)
        self._answering.statistic.add_system_request(request.address)
        config = self._service.config(request.identity, self._trusts(request))
        if asked_before:
            asyncio.get_running_loop().call_later(SHARING_SECONDS, self._answer, request, config)
        else:
            self._answer(request, config)

    def _trusts(self, request: Request) -> bool:
        """Whether a request comes from this machine, or from a client whose key was put into the folder of clients."""
        return is_loopback(request.peer) or (self._keys is not None and self._keys.names_clients)

    def _check_trust(self, request: Request) -> None:
        if self._trusts(request) or self._allow_remote_terminate:
            return
        command = request.payload.decode("ascii")
        self._warn(f"{command} from {request.peer} refused: see -allow_remote_terminate")
        raise RequestError(
            "bad_request", f"this server takes {command} from its own machine or with an admitted key only"
        )

    def _answer_state(self, request: Request) -> None:
        asked = request.extra().get("request")
        if not isinstance(asked, int) or isinstance(asked, bool):
            raise RequestError("bad_request", 'SHOW_STATE needs a fifth frame such as {"request": 3}')
        state = "waiting" if (request.address, asked) in self._in_flight else "unknown"
        self._answer(request, {"request": asked, "state": state})

    def _begin(self, request: Request) -> None:
        self._answering.check_count(request.address, request.announced)
        task = TaskRequest.read(request.extra())
        if self._outbox.full(request.address):
            raise RequestError("overloaded", "too many answers wait to be read by this client; read them first")
        self._start(request, partial(self._work, request, task))

    def _start(self, request: Request, work: Callable[[], Work]) -> None:
        self._in_flight.start(request, work, request.address in self._outbox.readers)

    async def _work(self, request: Request, task: TaskRequest) -> Frames:
        load = partial(parse_texts, request.payload, request.announced, self._limits)
        return await answer_frames(await self._answering.answer(request.address, task, load, len(request.payload)))

    async def _reload(self, request: Request) -> Frames:
        return [json.dumps(await self._service.reload(f"RELOAD from {request.peer}")).encode("ascii")]

    # --- replies

    def _answer(self, request: Request, value: dict[str, Any]) -> None:
        self._reply(request.address, [json.dumps(value).encode("ascii"), request.id])

    def _refuse(self, address: bytes, request_id: bytes, error: RequestError) -> None:
        self._warn(f"request {request_id!r} of {address[:64]!r} refused: {error.message[:500]}")
        self._reply(address, [*error_reply(error.code, error.message), request_id])

    def _deliver(self, request: Request, frames: Frames) -> None:
        """Send the answer to a request; if that fails, say so instead."""
        try:
            self._reply(request.address, [*frames, request.id])
        except Exception as error:
            fault = self._answering.fault(error, f"the sending of the answer to request {request.id!r}")
            self._refuse(request.address, request.id, fault)
        self._last_answer = time.monotonic()

    def _reply(self, address: bytes, frames: Frames) -> None:
        if self._replies.closed:
            return
        self._subscribers.look_at(address)
        self._outbox.put(address, [address, *frames])
        # A send takes the signal of the socket's descriptor with it, so look for subscriptions again.
        asyncio.get_running_loop().call_soon(self._subscribers.drain)

    def _try_again(self) -> None:
        if self._retry_timer is None:
            self._retry_timer = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self._outbox.flush()
        self._subscribers.drain()

    def _expire(self) -> None:
        self._drain_requests()
        if cut := self._guard.check() + self._subscribers.guard.check():
            self._warn(f"{cut} peers were cut off: they sent much without the end of a message, or were too many")
        self._subscribers.sweep()
        if dropped := self._in_flight.drop_without_subscriber(self._outbox.readers):
            self._warn(f"{dropped} requests are given up: their clients are gone")
        self._sender.sweep()
        self._outbox.expire()

    def _warn(self, text: str) -> None:
        if self._answering.may_log():
            self._logger.warning("%s", text)
