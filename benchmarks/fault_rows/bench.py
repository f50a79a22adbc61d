"""What every row needs: a server under watch, right vectors, load, outcomes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from bert_serving.benchmark.processes import children
from bert_serving.client import BertClient
from servers import free_ports

from .oracle import Oracle

READY = "all set, ready to serve request!"
TOLERANCE = 2e-5
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Outcome:
    """One line of the table."""

    sent: str
    found: str
    passed: bool


@dataclass
class Row:
    name: str
    tried: str
    run: Callable[[Bench], Outcome]


ROWS: dict[str, Row] = {}


def row(name: str, tried: str) -> Callable[[Callable[[Bench], Outcome]], Callable[[Bench], Outcome]]:
    """Register a row of the table."""

    def register(run: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        ROWS[name] = Row(name, tried, run)
        return run

    return register


@dataclass
class Bench:
    """Settings of one run, and texts with their right vectors."""

    model_dir: Path
    old_client: Path
    quick: bool
    minutes: float
    oracle: Oracle
    texts: list[str] = field(init=False)
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.texts = self.oracle.corpus(300)
        self.vectors = self.oracle(self.texts)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def serve(self, *flags: str, **options: Any) -> Server:
        flags = ("-model_dir", str(self.model_dir), *flags)
        return Server(list(flags), **options)

    def sample(self, rng: random.Random, maximum: int = 16) -> list[int]:
        """Numbers of some texts."""
        return [rng.randrange(len(self.texts)) for _ in range(rng.randint(1, maximum))]

    def ask(self, client: BertClient, numbers: list[int]) -> bool:
        """Whether the answer is right."""
        return self.right(client.encode([self.texts[number] for number in numbers]), numbers)

    def right(self, vectors: np.ndarray, numbers: list[int]) -> bool:
        return close(vectors, self.vectors[numbers])


def close(vectors: np.ndarray, expected: np.ndarray) -> bool:
    return vectors.shape == expected.shape and float(np.abs(vectors - expected).max()) <= TOLERANCE


FAULTY = "tests.engines.faulty:FaultyEngine"
_ROOT = Path(__file__).parents[2]


class Server:
    """bert-serving-start in a folder of its own, with its log in a file.

    Args:
        ports: those of an earlier server, to take its place.
        descriptors: how many it may open.
    """

    def __init__(
        self,
        flags: list[str],
        ports: tuple[int, int] | None = None,
        wait: bool = True,
        descriptors: int | None = None,
    ) -> None:
        self.port, self.port_out = ports or free_ports()
        while {str(self.port), str(self.port_out)} & set(flags):  # the one for HTTP was found before
            self.port, self.port_out = free_ports()
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.log_path = self.folder.with_suffix(".log")
        program = Path(sys.executable).with_name("bert-serving-start")
        limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        command = [*limit, str(program), *flags, "-port", str(self.port), "-port_out", str(self.port_out)]
        environment = {**os.environ, "TMPDIR": str(self.folder), "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(_ROOT)}
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        if wait:
            self.wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def ports(self) -> dict[str, int]:
        return {"port": self.port, "port_out": self.port_out}

    def wait(self, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while READY not in self.log:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log[-3000:]}")
            time.sleep(0.05)

    def status(self) -> dict[str, Any]:
        with BertClient(timeout=60_000, **self.ports) as client:
            return client.server_status

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def usage(self) -> tuple[float, int]:
        """Resident MB and open descriptors of the server and its workers."""
        pids = [self.process.pid, *self.workers()]
        return sum(map(resident, pids)), sum(map(descriptors, pids))

    def end(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            if exception == (None, None, None):
                self.log_path.unlink()


class Watch:
    """Samples a server's memory; ``with Watch(server) as memory: ...; memory.peak``."""

    def __init__(self, server: Server, seconds: float = 0.2) -> None:
        self.peak = self.first = 0.0
        self._server = server
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self.peak = max(self.peak, self._server.usage()[0])

    def __enter__(self) -> Watch:
        self.first = self.peak = self._server.usage()[0]
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def __str__(self) -> str:
        return f"memory {self.first:.0f} MB, at most {self.peak:.0f} MB"


class Load:
    """Good clients in threads that ask until the block ends; every answer is compared.

    Args:
        pause: seconds between two requests of a client.
        total: stop by themselves after so many requests together.
    """

    def __init__(
        self,
        bench: Bench,
        server: Server,
        clients: int,
        pause: float = 0.0,
        total: int | None = None,
        maximum: int = 16,
    ) -> None:
        self.answers = self.wrong = 0
        self.failures: list[str] = []
        self.slowest = 0.0
        self._bench, self._server, self._pause, self._left, self._most = bench, server, pause, total, maximum
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True) for seed in range(clients)]

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        try:
            with BertClient(timeout=120_000, **self._server.ports) as client:
                while not self._over.is_set() and self._take():
                    began = time.monotonic()
                    right = self._bench.ask(client, self._bench.sample(rng, self._most))
                    with self._lock:
                        self.answers += 1
                        self.wrong += not right
                        self.slowest = max(self.slowest, time.monotonic() - began)
                    self._over.wait(self._pause * rng.uniform(0.5, 1.5))
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def _take(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @property
    def hung(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    @property
    def good(self) -> bool:
        return not self.wrong and not self.failures and not self.hung and self.answers > 0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self.join(150)

    def join(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def __str__(self) -> str:
        failed = f", {len(self.failures)} failed ({self.failures[0][:150]})" if self.failures else ", 0 failed"
        return f"{self.answers} answers, {self.wrong} wrong{failed}, {self.hung} hung, slowest {self.slowest:.1f} s"


class Raw:
    """The legacy protocol by hand."""

    def __init__(
        self, server: Server, identity: bytes, listen: bool = True, context: zmq.Context[Any] | None = None
    ) -> None:
        self.identity = identity
        self._server = server
        self._own = context is None
        self.context = context or zmq.Context()
        self.push = self.context.socket(zmq.PUSH)
        self.push.setsockopt(zmq.SNDHWM, 0)
        self.push.connect(f"tcp://127.0.0.1:{server.port}")
        self.sub = self.context.socket(zmq.SUB)
        self.sub.setsockopt(zmq.RCVHWM, 0)
        if listen:
            self.listen()

    def listen(self) -> None:
        self.sub.setsockopt(zmq.SUBSCRIBE, self.identity)
        self.sub.connect(f"tcp://127.0.0.1:{self._server.port_out}")

    def send(self, texts: list[str], number: int) -> None:
        self.push.send_multipart([self.identity, json.dumps(texts).encode(), b"%d" % number, b"%d" % len(texts)])

    def receive(self, timeout: float = 60) -> tuple[int, np.ndarray | dict[str, str]]:
        """Request id, and the vectors or the error."""
        if not self.sub.poll(int(timeout * 1000)):
            raise TimeoutError("no reply")
        frames = self.sub.recv_multipart()
        header = json.loads(frames[1])
        if "error" in header:
            return int(frames[-1]), header["error"]
        if len(frames) == 3:
            return int(frames[-1]), header
        return int(frames[-1]), np.frombuffer(frames[2], header["dtype"]).reshape(header["shape"])

    def close(self) -> None:
        self.push.close(0)
        self.sub.close(0)
        if self._own:
            self.context.destroy(0)


def is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    except OSError:
        return 0.0


def descriptors(pid: int) -> int:
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


@contextlib.contextmanager
def contexts(sockets: int = 5000) -> Iterator[zmq.Context[Any]]:
    """A context for many sockets."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, sockets)
    try:
        yield context
    finally:
        context.destroy(0)
