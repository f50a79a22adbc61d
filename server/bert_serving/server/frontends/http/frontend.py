"""The HTTP door: bert-as-service's routes and JSON, and the same for tags and classes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bert_serving.server.answering import SMALL_REQUEST_BYTES
from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http.body import Bodies, BodyError
from bert_serving.server.frontends.http.caller import CallerGoneError, while_connected
from bert_serving.server.frontends.http.connections import guarded
from bert_serving.server.frontends.http.keys import load_http_keys
from bert_serving.server.frontends.http.reply import (
    ROUTE_FAULTS,
    Outgoing,
    Reply,
    answer_json,
    check_numbers,
    fault_response,
    json_response,
)
from bert_serving.server.frontends.http.request import check_headers, parse_request
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.options import ServerOptions
from bert_serving.server.settings import is_loopback
from bert_serving.server.tasks.request import TaskRequest

from bert_ft.errors import BertFtError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

STATUS_OF_CODE = {
    "bad_request": 400,
    "too_large": 413,
    "no_head": 400,
    "overloaded": 503,
    "shutting_down": 503,
    "server_failed": 503,
    "engine_failed": 500,
    "internal": 500,
}
FRONTEND = "http"
_CLOSE_SECONDS = 5.0
_BACKLOG = 2048
_PEERS_FAULTS = "uvicorn.error"

SMALL_AT_A_TIME = 16
T = TypeVar("T")
Answer = Callable[["Request"], Awaitable[Any]]


class HttpFrontend:
    """Routes: POST /encode, /tag, /classify; GET /status/server, /status/client, /health.

    Large requests are worked on ``-http_max_connect`` at a time; further ones wait their turn, small ones go ahead of
    them.

    Raises:
        BertFtError: the libraries of the extra "http" are not installed.
    """

    name: ClassVar[str] = FRONTEND
    warnings: Sequence[str] = ()

    def __init__(self, options: ServerOptions, service: Service, max_connections: int) -> None:
        try:
            import fastapi  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise BertFtError(
                f"-http_port needs the library {error.name}: run pip install 'bert-ft[http]', or leave the flag out"
            ) from None
        self._uvicorn = uvicorn
        assert options.http_port is not None
        self._host = options.host
        self._port = options.http_port
        self._options = options
        self._service = service
        self._answering = service.answering
        self._limits = limits = service.answering.limits
        self._keys = load_http_keys(options)
        self._bodies = Bodies(limits)
        self._outgoing = Outgoing(limits)
        self._turns = asyncio.Semaphore(options.http_max_connect)
        self._small_turns = asyncio.Semaphore(max(options.http_max_connect, SMALL_AT_A_TIME))
        self._max_connections = max_connections
        self._small = ThreadPoolExecutor(2, "http-small")
        self._large = ThreadPoolExecutor(2, "http-large")
        self._socket: socket.socket | None = None
        self._server: Any = None
        self._running: asyncio.Task[None] | None = None
        self._logger = get_logger("PROXY")

    @staticmethod
    def ports(options: ServerOptions) -> dict[str, int]:
        return {"-http_port": options.http_port} if options.http_port else {}

    def open(self) -> None:
        """Bind the port.

        Raises:
            BertFtError: it is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # named, for only then asyncio sends the parts of an answer without waiting for acknowledgements
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self._port))
        except OSError as error:
            bound.close()
            raise BertFtError(
                f"port {self._port} (-http_port) cannot be opened ({error.strerror}); give another -http_port"
            ) from None
        self._socket = bound

    def start(self) -> None:
        """Take requests from now on."""
        assert self._socket is not None
        from uvicorn.protocols.http.auto import AutoHTTPProtocol

        config = self._uvicorn.Config(
            self._application(),
            http=guarded(AutoHTTPProtocol, self._max_connections, self._limits),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=self._limits.http_idle_seconds,
            # the loop accepts so many before it looks at the first
            backlog=max(1, min(128, self._max_connections // 2)),
        )

        class Server(self._uvicorn.Server):  # type: ignore[name-defined]
            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                """Signals are the whole server's business."""
                yield

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                for one in sockets or ():
                    one.listen(_BACKLOG)  # more may wait outside

        logging.getLogger(_PEERS_FAULTS).addFilter(self._rarely)
        self._server = Server(config)
        self._running = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))
        self._logger.info("HTTP requests at port %d of %s", self._port, self._host)

    async def idle(self) -> None:
        """Wait until every request has its answer."""
        while self._answering.admission.of(FRONTEND):
            await asyncio.sleep(0.02)

    def status(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        """Stop listening and end the connections."""
        self._bodies.close()
        if self._running is not None:
            self._server.should_exit = True
            with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._running, _CLOSE_SECONDS)
        logging.getLogger(_PEERS_FAULTS).removeFilter(self._rarely)
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._socket is not None:
            self._socket.close()

    def _rarely(self, record: logging.LogRecord) -> bool:
        """A filter: nobody fills the log with requests that are none."""
        return self._answering.may_log()

    def _application(self) -> FastAPI:
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        application = FastAPI(title="bert-ft", openapi_url=None, exception_handlers=ROUTE_FAULTS)
        application.add_middleware(
            CORSMiddleware, allow_origins=[self._options.cors], allow_methods=["*"], allow_headers=["*"]
        )
        for task in ("encode", "tag", "classify"):
            application.add_route(f"/{task}", self._guarded(self._keyed(partial(self._post, task))), methods=["POST"])
        for path, answer in (
            ("/status/server", self._keyed(self._server_status)),
            ("/status/client", self._keyed(self._client_status)),
            ("/health", self._health),
        ):
            application.add_route(path, self._guarded(answer), methods=["GET"])
        return application

    def _keyed(self, answer: Answer) -> Answer:
        """Refuse whoever has no key, before anything of the request is read."""

        async def keyed(request: Request) -> Response | Reply:
            if self._keys is None or self._keys.accept(request.headers.get("Authorization")):
                return await answer(request)
            message = "this server has keys: send the header Authorization: Bearer KEY"
            refusal = fault_response(message, 401, "unauthorized")
            refusal.headers["WWW-Authenticate"] = 'Bearer realm="bert-ft"'
            return refusal

        return keyed

    def _trusts(self, request: Request) -> bool:
        """Whether a request has a key, or comes from this machine and not by way of a web page."""
        if self._keys is not None:
            return True
        local = request.client is not None and is_loopback(request.client.host)
        return local and "origin" not in request.headers and is_loopback(request.url.hostname or "")

    def _guarded(self, answer: Answer) -> Answer:
        """Turn what goes wrong into bert-as-service's error object."""
        from starlette.requests import ClientDisconnect

        async def guarded(request: Request) -> Response | Reply:
            try:
                return await answer(request)
            except (ClientDisconnect, CallerGoneError):
                return fault_response("the caller is gone", 400, "bad_request")
            except Exception as error:
                fault = self._answering.fault(error, "an HTTP request")
                refusal = fault_response(fault.message, STATUS_OF_CODE[fault.code], fault.code)
                if isinstance(error, BodyError):
                    refusal.headers["Connection"] = "close"
                return refusal

        return guarded

    async def _post(self, task: str, request: Request) -> Response | Reply:
        self._answering.admission.check()
        check_headers(request)
        async with self._bodies.receive(request) as body:  # before the turn: who sends slowly keeps nobody waiting
            with self._answering.admission.one(FRONTEND, len(body)):
                return await while_connected(request, self._work(task, request, body))

    async def _work(self, task: str, request: Request, body: bytes) -> Reply:
        if len(body) > SMALL_REQUEST_BYTES:
            async with self._turns:
                wanted = await self._in(self._large, parse_request, body, self._limits)
                return await self._answer(task, request, wanted, len(body))
        async with self._small_turns:
            wanted = await self._in(self._small, parse_request, body, self._limits)
            if len(wanted["texts"]) <= self._options.priority_batch_size:
                return await self._answer(task, request, wanted, len(body))
        async with self._turns:
            return await self._answer(task, request, wanted, len(body))

    async def _answer(self, task: str, request: Request, wanted: dict[str, Any], size: int) -> Reply:
        client = f"http:{request.client.host if request.client else ''}".encode()
        texts = wanted["texts"]
        self._answering.check_count(client, len(texts))
        asked = TaskRequest.read({"task": task, "output": wanted.get("output", "entities")})
        if task == "encode":
            numbers = len(texts) * (self._service.config(client, False)["dim"] or 1)
            check_numbers(numbers, self._limits.http_max_numbers)
        result = await self._answering.answer(client, asked, lambda: texts, size)
        pool = self._small if len(texts) <= self._options.priority_batch_size else self._large
        content = await self._in(pool, answer_json, wanted["id"], result, self._limits.http_max_numbers)
        return self._outgoing.reply(content)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    async def _server_status(self, request: Request) -> Response:
        client = request.client.host.encode() if request.client else b"http"
        self._answering.statistic.add_system_request(client)
        return json_response(200, {**self._service.status(client, self._trusts(request)), "status": 200})

    async def _client_status(self, request: Request) -> Response:
        pending = self._answering.admission.of(FRONTEND)
        address = {"http_port": self._port, "num_pending_request": pending, "server_ip": self._host}
        return json_response(200, {**address, "status": 200})

    async def _health(self, request: Request) -> Response:
        ready = self._service.ready
        return json_response(200 if ready else 503, {"ready": ready, "status": 200 if ready else 503})
