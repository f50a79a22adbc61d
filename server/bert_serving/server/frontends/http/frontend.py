"""The HTTP server: its port, its connections, its beginning and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http.connections import guarded
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.options import ServerOptions

from bert_ft.errors import BertFtError

_CLOSE_SECONDS = 5.0
_BACKLOG = 2048
_PEERS_FAULTS = "uvicorn.error"


class HttpFrontend:
    """HTTP/1.1, by FastAPI and uvicorn, which are imported only if there is to be a port for it."""

    name: ClassVar[str] = "http"
    warnings: Sequence[str] = ()

    def __init__(self, options: ServerOptions, service: Service, max_connections: int) -> None:
        try:
            import uvicorn
            from bert_serving.server.frontends.http.app import application
            from bert_serving.server.frontends.http.keys import HttpKeys
            from bert_serving.server.frontends.http.legacy import LegacyApi
        except ImportError as error:
            raise BertFtError(
                f"-http_port needs the library {error.name}: run pip install 'bert-ft[http]', or leave the flag out"
            ) from None
        assert options.http_port is not None
        self._uvicorn = uvicorn
        self._host = options.host
        self._port = options.http_port
        self._answering = service.answering
        self._max_connections = max_connections
        self._api = LegacyApi(options, service)
        keys = HttpKeys(Path(options.http_key_file)) if options.http_key_file else None
        self._application = application(self._api, service, options.cors, keys)
        self._socket: socket.socket | None = None
        self._server: Any = None
        self._running: asyncio.Task[None] | None = None
        self._logger = get_logger("PROXY")

    @staticmethod
    def ports(options: ServerOptions) -> dict[str, int]:
        return {"-http_port": options.http_port} if options.http_port else {}

    def open(self) -> None:
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
        assert self._socket is not None
        from uvicorn.protocols.http.auto import AutoHTTPProtocol

        config = self._uvicorn.Config(
            self._application,
            http=guarded(AutoHTTPProtocol, self._max_connections, self._answering.limits),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=self._answering.limits.http_idle_seconds,
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
        while self._answering.admission.of(self.name):
            await asyncio.sleep(0.02)

    def status(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        self._api.close()
        if self._running is not None:
            self._server.should_exit = True
            with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._running, _CLOSE_SECONDS)
        logging.getLogger(_PEERS_FAULTS).removeFilter(self._rarely)
        if self._socket is not None:
            self._socket.close()

    def _rarely(self, record: logging.LogRecord) -> bool:
        """A filter: nobody fills the log with requests that are none."""
        return self._answering.may_log()
