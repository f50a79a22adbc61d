"""One life of a worker: its process, the channel to it, and the threads that serve both."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from bert_serving.server.batching.batcher import Batch
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.settings import Settings
from bert_serving.server.workers.channel import Channel
from bert_serving.server.workers.messages import batch_message

from bert_ft.hardware.processor import gpu_count

OnMessage = Callable[[dict[str, Any], list[np.ndarray]], None]

LAST_WORD_SECONDS = 1.0
SMALL_BATCH_PIECES = 1024
"""Batches up to this size are sent by the loop itself: handing one to a thread takes longer than sending it."""


class WorkerProcess:
    """The process, its channel, and threads that send, receive and wait for its end.

    Args:
        hello: the first message: which engine with which options.
        held: descriptors that the process needs.

    Raises:
        OSError: no process can be started, or there are no descriptors for it.
    """

    def __init__(
        self, hello: dict[str, Any], environment: dict[str, str], mask_special: bool, held: Iterable[int] = ()
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A session of its own: the terminal's Ctrl-C is the server's business.
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "bert_serving.server.workers.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno(), *held],
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._channel = Channel(ours)
        self._hello = hello
        self._mask_special = mask_special
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()

    def watch(self, on_message: OnMessage, on_exit: Callable[[int], None]) -> None:
        receiver = threading.Thread(target=self._receive, args=(on_message,), daemon=True)

        def wait() -> None:
            code = self.process.wait()
            receiver.join(LAST_WORD_SECONDS)  # it may have said why
            on_exit(code)

        receiver.start()
        for target in (self._send, wait):
            threading.Thread(target=target, daemon=True).start()

    def run(self, batch: Batch) -> None:
        """Send a batch; only to an idle worker, whose socket takes a small one at once."""
        if sum(sequence.length for sequence in batch.sequences) <= SMALL_BATCH_PIECES:
            message = batch_message(batch, self._mask_special)
            with self._faults():
                self._channel.send(*message)
        else:
            self._batches.put(batch)

    def hang_up(self) -> None:
        """Close the channel: the worker ends by itself."""
        self._channel.close()
        self._batches.put(None)

    def _send(self) -> None:
        with self._faults():
            self._channel.send(self._hello)
            while (batch := self._batches.get()) is not None:
                self._channel.send(*batch_message(batch, self._mask_special))

    def _receive(self, on_message: OnMessage) -> None:
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
            self.process.kill()


def worker_devices(settings: Settings) -> list[int | None]:
    """One GPU id a worker, in turn; None (the processor) with ``-cpu`` or where there is no GPU."""
    options = settings.options
    gpus = options.device_map or range(gpu_count())
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
