"""Worker processes: started, watched, replaced. Everything but the two threads of a worker runs on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from bert_serving.server.batch_message import batch_message
from bert_serving.server.batcher import Group
from bert_serving.server.channel import Channel
from bert_serving.server.logs import get_logger
from bert_serving.server.settings import Settings

from bert_ft.processor import gpu_count

STARTS_BEFORE_GIVING_UP = 4
LONGEST_PAUSE = 10.0
"""Seconds between two starts of a worker that keeps dying before it is ready."""
SMALL_BATCH_PIECES = 1024
"""Batches up to this size are sent by the loop itself: handing one to a thread takes longer than sending it."""
_EXIT_GRACE = 3.0


class WorkerListener(Protocol):
    """Who is told what becomes of the workers; always on the loop."""

    def on_ready(self, worker: Worker) -> None: ...

    def on_result(self, worker: Worker, group: Group, arrays: dict[str, np.ndarray]) -> None: ...

    def on_error(self, worker: Worker, group: Group, message: str) -> None: ...

    def on_lost(self, worker: Worker, group: Group, reason: str) -> None: ...

    def on_fatal(self, message: str) -> None: ...


class _Process:
    """One life of a worker: the process, its channel, and threads that send, receive and wait for its end."""

    def __init__(self, hello: dict[str, Any], environment: dict[str, str], mask_special: bool) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: the terminal's Ctrl-C is the server's business.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bert_serving.server.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        self._socket = ours
        self._channel = Channel(ours)
        self._hello = hello
        self._mask_special = mask_special
        self._batches: queue.SimpleQueue[Group | None] = queue.SimpleQueue()

    def watch(
        self, on_message: Callable[[dict[str, Any], list[np.ndarray]], None], on_exit: Callable[[int], None]
    ) -> None:
        for target in (self._send, lambda: self._receive(on_message), lambda: on_exit(self.process.wait())):
            threading.Thread(target=target, daemon=True).start()

    def run(self, group: Group) -> None:
        """Send a batch; only to an idle worker, whose socket takes a small one at once."""
        if sum(sequence.length for sequence in group.sequences) <= SMALL_BATCH_PIECES:
            with self._faults():
                self._channel.send(*batch_message(group, self._mask_special))
        else:
            self._batches.put(group)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def hang_up(self) -> None:
        """Close the channel: the worker ends by itself."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._batches.put(None)

    def _send(self) -> None:
        with self._faults():
            self._channel.send(self._hello)
            while (group := self._batches.get()) is not None:
                self._channel.send(*batch_message(group, self._mask_special))

    def _receive(self, on_message: Callable[[dict[str, Any], list[np.ndarray]], None]) -> None:
        with self._faults():
            while True:
                on_message(*self._channel.receive())

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            pass  # the thread that waits sees the exit and says why
        except Exception:
            get_logger("VENTILATOR").exception("the channel to process %d is broken", self.process.pid)
            self.kill()


class Worker:
    """One place for a worker process; a dead process is followed by another.

    Attributes:
        state: "starting", "idle", "busy", "pausing" (before the next start) or "stopped".
        restarts: processes after the first.
        seconds: how long the last batch took.
    """

    def __init__(self, number: int, settings: Settings, device: int | None, listener: WorkerListener) -> None:
        self.number = number
        self.state = "stopped"
        self.restarts = 0
        self.batches = 0
        self.sequences = 0
        self.seconds = 0.0
        self._began = 0.0
        self.info: dict[str, Any] = {}
        self._settings = settings
        self._device = device
        self._listener = listener
        self._logger = get_logger("VENTILATOR")
        self._group: Group | None = None
        self._life: _Process | None = None
        self._failures = 0
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        return self._life.process.pid if self._life else None

    def start(self) -> None:
        options = self._settings.options
        hello = {
            "worker": self.number,
            "engine": options.engine,
            "options": self._settings.engine_options(self._device).to_json(),
            "verbose": options.verbose,
        }
        loop = asyncio.get_running_loop()
        self.state, self._reason = "starting", ""
        try:
            life = _Process(hello, worker_environment(self._device), options.mask_cls_sep)
        except OSError as error:
            self._start_again(f"no process could be started ({error})")
            return
        self._life = life
        self._set_timer(options.worker_timeout, self._on_timeout)
        life.watch(
            lambda header, arrays: _call(loop, self._on_message, life, header, arrays),
            lambda code: _call(loop, self._on_exit, life, code),
        )

    def run(self, group: Group) -> None:
        """Give an idle worker a batch."""
        assert self._life is not None
        self._group, self.state = group, "busy"
        self._began = time.monotonic()
        self._set_timer(self._settings.options.worker_timeout, self._on_timeout)
        self._life.run(group)

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
            self._life.kill()
            self._life.process.wait()

    def _on_message(self, life: _Process, header: dict[str, Any], arrays: list[np.ndarray]) -> None:
        if life is not self._life or self.state not in ("starting", "busy"):
            return
        self._set_timer(None)
        if header["event"] == "failed":
            self._reason = header["message"]
            life.kill()
            return
        group, self._group, self.state = self._group, None, "idle"
        if header["event"] == "ready":
            self._failures = 0
            self.info = header["info"]
            self._listener.on_ready(self)
            return
        assert group is not None
        self.seconds = time.monotonic() - self._began
        self.batches += 1
        self.sequences += len(group.sequences)
        if header["event"] == "error":
            self._listener.on_error(self, group, header["message"])
        else:
            self._listener.on_result(self, group, dict(zip(header["names"], arrays, strict=True)))

    def _on_exit(self, life: _Process, code: int) -> None:
        if life is not self._life or self.state == "stopped":
            return
        self._set_timer(None)
        life.hang_up()
        group, self._group, before = self._group, None, self.state
        reason = self._reason or describe_exit(code)
        if before == "starting" and not self.info and self._reason:
            self._listener.on_fatal(reason)
            return
        if before != "starting":
            self._failures = -1
        self._start_again(reason)
        if group is not None:
            self._listener.on_lost(self, group, reason)

    def _start_again(self, reason: str) -> None:
        """Start another process, later and later while none becomes ready."""
        self.state = "pausing"
        self._failures += 1
        if self._failures >= STARTS_BEFORE_GIVING_UP:
            self._listener.on_fatal(f"worker {self.number} ended {self._failures} times before it was ready: {reason}")
            return
        self._logger.warning("worker %d is lost: %s; starting another", self.number, reason)
        self.restarts += 1
        pause = min(0.5 * 2 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else 0.0
        self._set_timer(pause, self.start)

    def _on_timeout(self) -> None:
        assert self._life is not None
        self._reason = f"no sign of life for {self._settings.options.worker_timeout:g} s (-worker_timeout)"
        self._life.kill()

    def _set_timer(self, delay: float | None, callback: Callable[[], None] | None = None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if delay is not None and callback is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, callback)


class Supervisor:
    """All workers."""

    def __init__(self, settings: Settings, listener: WorkerListener) -> None:
        devices = worker_devices(settings)
        self.workers = [Worker(number, settings, device, listener) for number, device in enumerate(devices)]

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        """End every process; returns when all are gone."""
        for worker in self.workers:
            worker.stop()
        deadline = time.monotonic() + _EXIT_GRACE
        for worker in self.workers:
            worker.wait(deadline)

    def idle(self) -> Worker | None:
        return next((worker for worker in self.workers if worker.state == "idle"), None)


def worker_devices(settings: Settings) -> list[int | None]:
    """One GPU id a worker, in turn; None (the processor) with ``-cpu`` or where there is no GPU."""
    options = settings.options
    gpus: list[int] = list(options.device_map)
    if not gpus:
        gpus = list(range(gpu_count()))
    if options.cpu or not gpus:
        return [None] * options.num_worker
    return [gpus[number % len(gpus)] for number in range(options.num_worker)]


def worker_environment(device: int | None) -> dict[str, str]:
    """The server's environment; modules are looked up where the server found them, not in the current directory."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment["PYTHONSAFEPATH"] = "1"
    environment["CUDA_VISIBLE_DEVICES"] = "-1" if device is None else str(device)
    return environment


def describe_exit(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    return f"ended with status {code}"


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Hand over to the loop, which may be closed already at the end of the server."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
