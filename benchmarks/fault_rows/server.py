"""A server under watch, the legacy protocol by hand, and work beside it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import zmq
from bert_serving.benchmark.processes import children
from common import program

PAGE = os.sysconf("SC_PAGE_SIZE")
CONTEXT = zmq.Context()
CONTEXT.set(zmq.MAX_SOCKETS, 5000)
CONTEXT.linger = 0


class Server(common.Server):
    """Ours, with what rows look at.

    Args:
        descriptors: how many it may open.
    """

    def __init__(self, flags: list[str], descriptors: int | None = None, **options: Any) -> None:
        limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        super().__init__(flags, [*limit, program("bert-serving-start")], **options)

    @property
    def ports(self) -> tuple[int, int]:
        return self.port, self.port_out

    def status(self) -> dict[str, Any]:
        with self.client() as client:
            return client.server_status

    def queue(self, name: str) -> int:
        """A figure of the status."""
        return self.status()["queue"][name]

    def restarts(self) -> int:
        return sum(worker["restarts"] for worker in self.status()["workers"])

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def usage(self) -> tuple[float, int]:
        """Resident MB and open descriptors of the server and its workers."""
        pids = [self.process.pid, *self.workers()]
        return sum(map(_resident, pids)), sum(map(_descriptors, pids))


@contextlib.contextmanager
def meanwhile(*works: Callable[[threading.Event], object]) -> Iterator[threading.Event]:
    """Run each in a thread until the block ends; they are given the event that says so."""
    over = threading.Event()
    threads = in_threads(*(partial(work, over) for work in works))
    try:
        yield over
    finally:
        over.set()
        join(threads, 150)


def in_threads(*works: Callable[[], object]) -> list[threading.Thread]:
    """Start a thread for each."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


@dataclass
class Memory:
    """MB of a server and its workers at the first look, and the most of all looks."""

    first: float
    peak: float

    @property
    def growth(self) -> float:
        return self.peak - self.first

    def __str__(self) -> str:
        return f"memory {self.first:.0f} MB, at most {self.peak:.0f} MB"


@contextlib.contextmanager
def watched(server: Server) -> Iterator[Memory]:
    """Look at the server's memory until the block ends."""
    first = server.usage()[0]
    memory = Memory(first, first)

    def look(over: threading.Event) -> None:
        while not over.wait(0.2):
            memory.peak = max(memory.peak, server.usage()[0])

    with meanwhile(look):
        yield memory


class Raw:
    """The legacy protocol by hand.

    Attributes:
        header: of the last reply.
    """

    def __init__(self, server: Server, identity: bytes, listen: bool = True) -> None:
        self.identity = identity
        self.header: dict[str, Any] = {}
        self._server = server
        self.push = CONTEXT.socket(zmq.PUSH)
        self.push.setsockopt(zmq.SNDHWM, 0)
        self.push.connect(f"tcp://127.0.0.1:{server.port}")
        self.sub = CONTEXT.socket(zmq.SUB)
        self.sub.setsockopt(zmq.RCVHWM, 0)
        if listen:
            self.listen()

    def listen(self) -> None:
        self.sub.setsockopt(zmq.SUBSCRIBE, self.identity)
        self.sub.connect(f"tcp://127.0.0.1:{self._server.port_out}")

    def send(self, texts: list[str], number: int) -> None:
        self.send_payload(json.dumps(texts).encode(), number, len(texts))

    def send_payload(self, payload: bytes, number: int, count: int) -> None:
        self.push.send_multipart([self.identity, payload, b"%d" % number, b"%d" % count], copy=False)

    def receive(self, timeout: float = 60) -> tuple[int, np.ndarray | dict[str, str]]:
        """Request id, and the vectors or the error."""
        if not self.sub.poll(int(timeout * 1000)):
            raise TimeoutError("no reply")
        frames = self.sub.recv_multipart()
        self.header = json.loads(frames[1])
        if "error" in self.header:
            return int(frames[-1]), self.header["error"]
        return int(frames[-1]), np.frombuffer(frames[2], self.header["dtype"]).reshape(self.header["shape"])

    def ask(self, texts: list[str], number: int = 0, timeout: float = 60) -> np.ndarray | dict[str, str]:
        self.send(texts, number)
        return self.receive(timeout)[1]

    def close(self) -> None:
        self.push.close(0)
        self.sub.close(0)


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    except OSError:
        return 0.0


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
