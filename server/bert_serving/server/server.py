"""The server's life: check, bind, start workers, serve, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable
from typing import Any

from bert_serving.server.curve import load_curve_keys
from bert_serving.server.dispatcher import Dispatcher
from bert_serving.server.http_door import HttpDoor
from bert_serving.server.http_keys import load_http_keys
from bert_serving.server.jobs import EncodeResult, JsonResult
from bert_serving.server.logs import get_logger, start_logging
from bert_serving.server.options import ServerOptions
from bert_serving.server.requests import TaskRequest, Texts
from bert_serving.server.settings import resolve
from bert_serving.server.statistic import Statistic
from bert_serving.server.status import Status, for_strangers
from bert_serving.server.supervisor import Worker
from bert_serving.server.tasks import TaskService
from bert_serving.server.zmq_door import ZmqDoor

from bert_ft.errors import BertFtError

MOST_DESCRIPTORS = 65536


class Server:
    """One server from its flags; the ports are bound when the constructor returns.

    Args:
        options: the parsed flags.
        on_ready: called on the loop when every worker is ready.

    Raises:
        BertFtError: something the user can mend.
    """

    def __init__(self, options: ServerOptions, on_ready: Callable[[], None] | None = None) -> None:
        start_logging(options.verbose)
        self._logger = get_logger("VENTILATOR")
        self._settings = resolve(options)
        self.statistic = Statistic()
        self.max_queue = options.max_queue
        self.max_request_texts = options.max_request_texts
        self._on_ready = on_ready
        self._dispatcher = Dispatcher(self._settings, self._on_worker_ready, self._on_fatal)
        self._status = Status(self._settings, self._dispatcher.supervisor)
        self._tasks = TaskService(self._settings, self._dispatcher)
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._fatal: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        options = self._settings.options
        curve, http_keys = load_curve_keys(options), load_http_keys(options)
        self._warnings = [*self._settings.warnings, *(curve.warnings if curve else ())]
        self._door = ZmqDoor(options.host, options.port, options.port_out, options.allow_remote_terminate, self, curve)
        self._http = (
            HttpDoor(options.host, options.http_port, options.cors, options.http_max_connect, self, http_keys)
            if options.http_port
            else None
        )
        if self._http:
            self._http.open()
        self._door.open()  # last: nothing but close() ends the thread that it may start

    async def run(self, handle_signals: bool = False) -> None:
        """Serve until stopped.

        Args:
            handle_signals: SIGTERM and SIGINT stop the server, a second one at once; main thread only.

        Raises:
            BertFtError: the workers could not be started.
        """
        self._loop = asyncio.get_running_loop()
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._on_signal, signal.Signals(number).name)
        for note in self._settings.notes:
            self._logger.info(note)
        for warning in self._warnings:
            self._logger.warning(warning)
        try:
            self._door.start()
            if self._http:
                self._http.start()
            self._dispatcher.supervisor.start()
            await _first(self._ready, self._stop)
            if not self._stop.is_set():
                self._begin()
                await self._stop.wait()
                await self._drain()
        finally:
            self._door.close()
            if self._http:
                await self._http.close()
            self._tasks.close()
            self._dispatcher.supervisor.stop()
        if self._fatal:
            raise BertFtError(self._fatal)
        self._logger.info("stopped")

    def stop_threadsafe(self) -> None:
        """Begin to shut down, from any thread; nothing happens if the server has ended."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.stop, "closed")

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self, reason: str) -> None:
        if not self._stop.is_set():
            self._logger.info("shutting down: %s", reason)
            self._stop.set()

    async def answer(
        self, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        await self._ready.wait()
        return await self._tasks.answer(client, request, load, size, self._status.model())

    def pause(self, client: bytes, wanted: bool) -> None:
        self._dispatcher.pause(client, wanted)

    @property
    def ready(self) -> bool:
        return self._ready.is_set()

    def config(self, client: bytes, trusted: bool) -> dict[str, Any]:
        config = {**self._status.config(client), "ready": self.ready}
        return config if trusted else for_strangers(config)

    def status(self, client: bytes, trusted: bool) -> dict[str, Any]:
        status = {
            **self.config(client, trusted),
            "statistic": self.statistic.report(),
            "queue": {**self._dispatcher.status(), **self._door.status()},
        }
        return {**status, "workers": self._status.workers()} if trusted else status

    def _begin(self) -> None:
        _collect_less_often()
        options = self._settings.options
        self._logger.info("requests at port %d, results at port %d of %s", options.port, options.port_out, options.host)
        self._logger.info("all set, ready to serve request!")
        if self._on_ready:
            self._on_ready()

    async def _drain(self) -> None:
        """Wait for running requests, not longer than -drain_timeout, and not after a second signal."""
        if self._fatal:
            return
        doors = [door for door in (self._door, self._http) if door]
        idle = asyncio.gather(*(door.idle() for door in doors))
        now = asyncio.ensure_future(self._stop_now.wait())
        _, pending = await asyncio.wait(
            (idle, now), timeout=self._settings.options.drain_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not idle.done():
            self._logger.warning("%d requests are given up", sum(door.waiting for door in doors))
        for task in pending:
            task.cancel()

    def _on_worker_ready(self, worker: Worker) -> None:
        workers = self._dispatcher.supervisor.workers
        if all(one.info for one in workers):
            self._ready.set()

    def _on_fatal(self, message: str) -> None:
        self._fatal = self._fatal or message
        self.stop(message)

    def _on_signal(self, name: str) -> None:
        if self.stopping:
            self._stop_now.set()
        self.stop(name)


def run_server(options: ServerOptions) -> None:
    """Serve in the main thread until a signal or TERMINATION.

    Raises:
        BertFtError: something the user can mend.
    """
    _allow_many_connections()
    asyncio.run(Server(options).run(handle_signals=True))


def _collect_less_often() -> None:
    """A request of 100,000 texts makes a million objects: looking for garbage took half the time of reading them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _allow_many_connections() -> None:
    """Every client takes two descriptors; the usual limit of 1024 is made for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
