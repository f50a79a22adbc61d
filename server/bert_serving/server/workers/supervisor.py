"""Worker processes: started, watched, replaced. Everything here runs on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from bert_serving.server.batching.batcher import Batch
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.process.descriptors import Spare
from bert_serving.server.settings import Settings
from bert_serving.server.workers.process import WorkerProcess, describe_exit, worker_devices, worker_environment

from bert_ft.checkpoint.fingerprint import HeldFiles

STARTS_BEFORE_GIVING_UP = 4
LONGEST_PAUSE = 10.0
"""Seconds between two starts of a worker that keeps dying before it is ready."""
PAUSE_BESIDE_OTHERS = 60.0
"""The same while others do its work."""
_EXIT_GRACE = 3.0


class WorkerListener(Protocol):
    """Who is told what becomes of the workers; always on the loop. Nothing of it raises."""

    def on_ready(self, worker: Worker) -> None: ...

    def on_result(self, worker: Worker, batch: Batch, arrays: dict[str, np.ndarray]) -> None: ...

    def on_error(self, worker: Worker, batch: Batch, message: str) -> None: ...

    def on_lost(self, worker: Worker, batch: Batch, reason: str) -> None: ...

    def on_fatal(self, message: str) -> None: ...


class Worker:
    """One place for a worker process; a dead process is followed by another.

    Attributes:
        state: "starting", "idle", "busy", "pausing" (before the next start), "refused" (another model lies where the
            one served was) or "stopped".
        batch: the batch it has.
        restarts: processes after the first.
        seconds: how long the last batch took.
    """

    def __init__(self, number: int, device: int | None, supervisor: Supervisor) -> None:
        self.number = number
        self.state = "stopped"
        self.restarts = 0
        self.batches = 0
        self.sequences = 0
        self.seconds = 0.0
        self.info: dict[str, Any] = {}
        self.batch: Batch | None = None
        self._began = 0.0
        self._settings = supervisor.settings
        self._device = device
        self._supervisor = supervisor
        self._listener = supervisor.listener
        self._logger = get_logger("VENTILATOR")
        self._life: WorkerProcess | None = None
        self._failures = 0
        self._slow_starts = 0
        self._unstartable_since: float | None = None
        self._reason = ""
        self._is_engines_reason = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        return self._life.process.pid if self._life else None

    def start(self) -> None:
        options = self._settings.options
        where = self._supervisor.files.where()
        if where is None:
            self._refuse()
            return
        held = self._supervisor.files.descriptors if where == "held" else {}
        hello = {
            "worker": self.number,
            "engine": options.engine,
            "options": self._settings.engine_options(self._device).to_json(),
            "verbose": options.verbose,
            "fingerprint": self._supervisor.files.fingerprint,
            "held": held,
        }
        loop = asyncio.get_running_loop()
        self.state, self._reason, self._is_engines_reason = "starting", "", False
        try:
            with self._supervisor.spare.lend():
                environment = worker_environment(self._device)
                life = WorkerProcess(hello, environment, options.mask_cls_sep, held.values())
        except OSError as error:
            self._cannot_start(error)
            return
        self._life, self._unstartable_since = life, None
        self._set_timer(self._start_limit(), self._on_timeout)
        life.watch(
            lambda header, arrays: _call(loop, self._safely, self._on_message, life, header, arrays),
            lambda code: _call(loop, self._safely, self._on_exit, life, code),
        )

    def run(self, batch: Batch) -> None:
        """Give an idle worker a batch."""
        assert self._life is not None
        self._began = time.monotonic()
        self._life.run(batch)
        self.batch, self.state = batch, "busy"
        self._set_timer(self._settings.options.worker_timeout, self._on_timeout)

    def stop(self) -> None:
        """Let the process end; nothing is reported any more."""
        self._set_timer(None)
        self.state = "stopped"
        if self._life:
            self._life.hang_up()

    def wait(self, deadline: float) -> None:
        """Block until the stopped process is gone; kill it at ``deadline`` (``time.monotonic`` seconds)."""
        if self._life is None:
            return
        try:
            self._life.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._life.process.kill()
            self._life.process.wait()

    def _on_message(self, life: WorkerProcess, header: dict[str, Any], arrays: list[np.ndarray]) -> None:
        if life is not self._life or self.state not in ("starting", "busy"):
            return
        self._set_timer(None)
        event = header["event"]
        if event == "failed":
            self._reason, self._is_engines_reason = header["message"], not header.get("replaced")
            life.process.kill()
        elif event == "ready":
            self.state, self._failures, self._slow_starts = "idle", 0, 0
            self.info = header["info"]
            self._listener.on_ready(self)
        else:
            self._on_answer(event, header, arrays)

    def _on_answer(self, event: str, header: dict[str, Any], arrays: list[np.ndarray]) -> None:
        batch = self.batch
        assert batch is not None
        self.seconds = time.monotonic() - self._began
        self.batches += 1
        self.sequences += len(batch.sequences)
        results = {} if event == "error" else dict(zip(header["names"], arrays, strict=True))
        self.batch, self.state = None, "idle"
        if event == "error":
            self._listener.on_error(self, batch, header["message"])
        else:
            self._listener.on_result(self, batch, results)

    def _on_exit(self, life: WorkerProcess, code: int) -> None:
        if life is not self._life or self.state == "stopped":
            return
        if self.state == "starting" and not self.info and self._is_engines_reason:
            life.hang_up()
            self._listener.on_fatal(self._reason)
        else:
            self._end_life(self._reason or describe_exit(code))

    def _end_life(self, reason: str) -> None:
        """The process is gone, or not to be trusted; what it had to do is given back."""
        self._set_timer(None)
        life, self._life = self._life, None
        if life is not None:
            life.process.kill()
            life.hang_up()
        batch, self.batch, before = self.batch, None, self.state
        if before != "starting":
            self._failures = -1
        self._start_again(reason)
        if batch is not None:
            self._listener.on_lost(self, batch, reason)

    def _start_again(self, reason: str) -> None:
        """Start another process, later and later while none becomes ready."""
        self.state = "pausing"
        self._failures += 1
        in_vain = self._failures >= STARTS_BEFORE_GIVING_UP
        if in_vain and not (self.info and self._supervisor.others_serve(self)):
            self._listener.on_fatal(f"worker {self.number} ended {self._failures} times before it was ready: {reason}")
            return
        self._logger.warning("worker %d is lost: %s; starting another", self.number, reason)
        self.restarts += 1
        pause = min(0.5 * 2 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else 0.0
        self._set_timer(PAUSE_BESIDE_OTHERS if in_vain else pause, self.start)

    def _cannot_start(self, error: OSError) -> None:
        """The system has nothing left for a process: it may have again."""
        now = time.monotonic()
        if self._unstartable_since is None:
            self._unstartable_since = now
            self._logger.warning("worker %d: no process could be started (%s); trying again", self.number, error)
        elif now - self._unstartable_since > self._settings.options.worker_timeout:
            self._listener.on_fatal(f"worker {self.number}: no process could be started ({error})")
            return
        self.state = "pausing"
        self._set_timer(1.0, self.start)

    def _refuse(self) -> None:
        """Another model lies where the one served was: this place stays empty until that one is back."""
        place = self._supervisor.files.place
        reason = (
            f"{place.tuned_model_dir or place.model_dir}: its files were written over with another model's, so worker "
            f"{self.number} is not started with them"
        )
        if not self._supervisor.others_serve(self):
            self._listener.on_fatal(f"{reason}, and no worker with the model served is left; start the server again")
            return
        if self.state != "refused":
            self._logger.warning(
                "%s; the others go on with the model they hold. bert-serving-reload serves the new one", reason
            )
        self.state = "refused"
        self._set_timer(LONGEST_PAUSE, self.start)

    def _start_limit(self) -> float:
        """Seconds; twice as many after each start that was too slow, for the machine may be busy."""
        return self._settings.options.worker_timeout * 2**self._slow_starts

    def _on_timeout(self) -> None:
        assert self._life is not None
        limit = self._settings.options.worker_timeout
        if self.state == "starting":
            self._reason = (
                f"it was not ready within {self._start_limit():g} s (-worker_timeout {limit:g}); the machine is busy, "
                "or the limit too small: give a larger -worker_timeout or a smaller -num_worker"
            )
            self._slow_starts += 1
        else:
            self._reason = f"no sign of life for {limit:g} s (-worker_timeout)"
        self._life.process.kill()

    def _safely(self, callback: Callable[..., None], *args: Any) -> None:
        """A fault in a callback must not leave a worker that nobody looks after, or a request that nobody answers."""
        try:
            callback(*args)
        except Exception as error:
            self._logger.exception("a callback about worker %d failed", self.number)
            if self.state != "stopped":
                self._end_life(f"the server failed on it ({type(error).__name__})")

    def _set_timer(self, delay: float | None, callback: Callable[[], None] | None = None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if delay is not None and callback is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._safely, callback)


class Supervisor:
    """All workers of one model.

    Args:
        files: of the model; no worker serves another.
        spare: descriptors that a start may take.
    """

    def __init__(self, settings: Settings, files: HeldFiles, listener: WorkerListener, spare: Spare) -> None:
        self.settings = settings
        self.files = files
        self.listener = listener
        self.spare = spare
        devices = worker_devices(settings)
        self.workers = [Worker(number, device, self) for number, device in enumerate(devices)]

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        """Let every process end; :meth:`wait` for that."""
        for worker in self.workers:
            worker.stop()

    def wait(self) -> None:
        """Block until all stopped processes are gone."""
        deadline = time.monotonic() + _EXIT_GRACE
        for worker in self.workers:
            worker.wait(deadline)

    def idle(self) -> Worker | None:
        return next((worker for worker in self.workers if worker.state == "idle"), None)

    def others_serve(self, worker: Worker) -> bool:
        """Whether any other worker is ready."""
        return any(other is not worker and other.state in ("idle", "busy") for other in self.workers)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Hand over to the loop, which may be closed already at the end of the server."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
