"""The server's life: check, bind, start workers, serve, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import Any

from bert_serving.server import limits as default_limits
from bert_serving.server.answering import Answering
from bert_serving.server.frontends.table import FRONTENDS
from bert_serving.server.limits import Limits
from bert_serving.server.models.models import Models, first
from bert_serving.server.models.status import Status, for_strangers
from bert_serving.server.monitoring.logs import LoopFaults, get_logger, start_logging
from bert_serving.server.options import ServerOptions
from bert_serving.server.process.descriptors import Spare, connections_of_a_frontend, raise_limit
from bert_serving.server.process.terminal import has_terminal
from bert_serving.server.tasks.request import RequestError

from bert_ft.errors import BertFtError


class Server:
    """One server from its flags; the ports are bound when the constructor returns.

    Args:
        options: the parsed flags.
        on_ready: called on the loop when every worker is ready.
        limits: :data:`bert_serving.server.limits.DEFAULT` without.

    Raises:
        BertFtError: something the user can mend.
    """

    def __init__(
        self, options: ServerOptions, on_ready: Callable[[], None] | None = None, limits: Limits | None = None
    ) -> None:
        start_logging(options.verbose)
        self._logger = get_logger("VENTILATOR")
        self._spare = Spare()
        self._models = Models(options, self._spare, self._on_fatal)
        self._options = options = self._models.current.settings.options
        self.answering = Answering(self._models, options, limits or default_limits.DEFAULT)
        self._on_ready = on_ready
        self._status = Status()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._fatal: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reloads: set[asyncio.Task[dict[str, Any]]] = set()
        kinds = [kind for kind in FRONTENDS if kind.ports(options)]
        connections = connections_of_a_frontend(options.num_worker, sum(len(kind.ports(options)) for kind in kinds))
        self._frontends = [kind(options, self, connections) for kind in kinds]
        for frontend in reversed(self._frontends):  # ZeroMQ's last: nothing but close() ends the thread it may start
            frontend.open()

    async def run(self, handle_signals: bool = False) -> None:
        """Serve until stopped.

        Args:
            handle_signals: SIGTERM, SIGINT and the end of the terminal stop the server, a second one at once; any other
                SIGHUP makes it serve what lies in the model directory then; main thread only.

        Raises:
            BertFtError: the workers could not be started.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(LoopFaults())
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._on_signal, signal.Signals(number).name)
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup, has_terminal())
        for note in self._models.current.settings.notes:
            self._logger.info(note)
        warnings = [frontend.warnings for frontend in self._frontends]
        for warning in chain(self._models.current.settings.warnings, *warnings):
            self._logger.warning(warning)
        try:
            for frontend in self._frontends:
                frontend.start()
            self._models.current.start()
            await first(self._models.current.ready, self._stop)
            if not self._stop.is_set():
                self._begin()
                await self._stop.wait()
                await self._drain()
        finally:
            await self._models.close()
            for frontend in self._frontends:
                await frontend.close()
            self.answering.close()
            self._spare.close()
        if self._fatal:
            raise BertFtError(self._fatal)
        self._logger.info("stopped")

    def stop_threadsafe(self) -> None:
        """Begin to shut down, from any thread; nothing happens if the server has ended."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.stop, "closed")

    def stop(self, reason: str) -> None:
        if not self._stop.is_set():
            self._logger.info("shutting down: %s", reason)
            self.answering.admission.end("shutting_down", "the server is shutting down")
            self._stop.set()

    async def reload(self, why: str) -> dict[str, Any]:
        return await asyncio.shield(self._begin_reload(why))

    def _begin_reload(self, why: str) -> asyncio.Task[dict[str, Any]]:
        """It goes on whatever becomes of who asked for it; the log has what comes of it."""
        task = asyncio.get_running_loop().create_task(self._reload(why))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return task

    async def _reload(self, why: str) -> dict[str, Any]:
        self._logger.info("reload: %s", why)
        if not self.answering.ready.is_set():
            self._logger.warning("reload: not while the server starts")
            raise RequestError("bad_request", "the server is still starting; reload when it is ready")
        before = self._models.current.fingerprint
        try:
            now = await self._models.reload(self._stop)
        except BertFtError as error:
            self._logger.error("reload: %s; model %s goes on", error, before)
            raise RequestError("bad_request", f"{error}; model {before} goes on") from None
        changed = now.fingerprint != before
        if changed:
            self._status.model_since = datetime.now()
        else:
            self._logger.info("reload: model %s is the one that lies there: nothing to do", before)
        return {"reloaded": changed, "model_fingerprint": now.fingerprint, "before": before}

    @property
    def ready(self) -> bool:
        return self.answering.ready.is_set() and not self._stop.is_set()

    def config(self, client: bytes, trusted: bool) -> dict[str, Any]:
        config = {**self._status.config(self._models.current, client), "ready": self.answering.ready.is_set()}
        return config if trusted else for_strangers(config)

    def status(self, client: bytes, trusted: bool) -> dict[str, Any]:
        admission = self.answering.admission
        queue: dict[str, int] = {"waiting_requests": len(admission)}
        queue |= {f"waiting_{kind.name}_requests": admission.of(kind.name) for kind in FRONTENDS}
        queue |= {**self._models.status(), "waiting_bytes": admission.bytes}
        for frontend in self._frontends:
            queue |= frontend.status()
        queue["suppressed_log_lines"] = self.answering.may_log.suppressed
        status = {**self.config(client, trusted), "statistic": self.answering.statistic.report(), "queue": queue}
        return {**status, "workers": self._status.workers(self._models.current)} if trusted else status

    def _begin(self) -> None:
        _collect_less_often()
        self.answering.ready.set()
        self._logger.info("all set, ready to serve request!")
        if self._on_ready:
            self._on_ready()

    async def _drain(self) -> None:
        """Wait for running requests, not longer than -drain_timeout, and not after a second signal."""
        if self._fatal:
            return
        idle = asyncio.gather(*(frontend.idle() for frontend in self._frontends))
        now = asyncio.ensure_future(self._stop_now.wait())
        _, pending = await asyncio.wait(
            (idle, now), timeout=self._options.drain_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not idle.done():
            self._logger.warning("%d requests are given up", len(self.answering.admission))
        for task in pending:
            task.cancel()

    def _on_fatal(self, message: str) -> None:
        self._fatal = self._fatal or message
        self.stop(message)
        self.answering.admission.end("server_failed", f"the server ends: {self._fatal}")

    def _on_signal(self, name: str) -> None:
        if self._stop.is_set():
            self._stop_now.set()
        self.stop(name)

    def _on_hangup(self, had_terminal: bool) -> None:
        if had_terminal and not has_terminal():
            self._on_signal("the terminal was closed")
        else:
            self._begin_reload("SIGHUP")


def run_server(options: ServerOptions) -> None:
    """Serve in the main thread until a signal or TERMINATION.

    Raises:
        BertFtError: something the user can mend.
    """
    raise_limit()
    asyncio.run(Server(options).run(handle_signals=True))


def _collect_less_often() -> None:
    """A request of 100,000 texts makes a million objects: looking for garbage took half the time of reading them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
