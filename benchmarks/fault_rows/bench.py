"""What every row needs: a server under watch, right vectors, load, outcomes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import zmq
from bert_serving.benchmark.processes import children
from bert_serving.client import BertClient
from common import ROOT, program

from .oracle import Oracle

TOLERANCE = 2e-5
PAGE = os.sysconf("SC_PAGE_SIZE")
CONTEXT = zmq.Context()
CONTEXT.set(zmq.MAX_SOCKETS, 5000)
CONTEXT.linger = 0


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


def row(name: str, tried: str, **settings: Any) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    """Register a row of the table: the function with these settings. One may be registered several times."""

    def register(run: Callable[..., Outcome]) -> Callable[..., Outcome]:
        ROWS[name] = Row(name, tried, partial(run, **settings))
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

    def serve(self, *flags: str, model_dir: Path | None = None, **options: Any) -> Server:
        return Server(["-model_dir", str(model_dir or self.model_dir), *flags], **options)

    def sample(self, rng: random.Random, maximum: int = 16) -> list[int]:
        """Numbers of some texts."""
        return [rng.randrange(len(self.texts)) for _ in range(rng.randint(1, maximum))]

    def chosen(self, numbers: Sequence[int]) -> list[str]:
        return [self.texts[number] for number in numbers]

    def ask(self, client: BertClient, numbers: Sequence[int]) -> bool:
        """Whether the answer is right."""
        return self.right(client.encode(self.chosen(numbers)), numbers)

    def right(self, answer: object, numbers: Sequence[int]) -> bool:
        return isinstance(answer, np.ndarray) and close(answer, self.vectors[list(numbers)])

    @contextlib.contextmanager
    def old(self, server: Server) -> Iterator[Callable[..., dict[str, Any]]]:
        """A bert-serving-client 1.10.0 in a process of its own; takes what a line of ``old_client.py`` has."""
        script = Path(__file__).with_name("old_client.py")
        with subprocess.Popen(
            [sys.executable, str(script), str(self.old_client), str(server.port), str(server.port_out)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(self.old_client)},
        ) as process:  # fmt: skip
            assert process.stdin and process.stdout and process.stderr  # noqa: PT018

            def ask(**question: Any) -> dict[str, Any]:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                return json.loads(line) if line else {"error": "Ended", "message": process.stderr.read()[-300:]}

            yield ask


def close(vectors: np.ndarray, expected: np.ndarray) -> bool:
    return vectors.shape == expected.shape and float(np.abs(vectors - expected).max()) <= TOLERANCE


def faulty(**faults: object) -> list[str]:
    """Flags of a server with an engine that has these faults of tests/engines/faults.py."""
    options = [f"{name}={value}" for name, value in faults.items()]
    return ["-engine", "tests.engines.faulty:FaultyEngine", "-engine_option", *options]


def new_checkpoint(folder: Path, vocab_file: Path, *flags: str) -> None:
    command = [program("bert-ft"), "new-checkpoint", str(folder), f"--vocab_file={vocab_file}", *flags]
    subprocess.run(command, check=True)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def fill_with_noise(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


class Server(common.Server):
    """Ours, with what rows look at.

    Args:
        descriptors: how many it may open.
    """

    def __init__(self, flags: list[str], descriptors: int | None = None, **options: Any) -> None:
        limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        where_engines_are = {"PYTHONPATH": str(ROOT)}
        super().__init__(flags, [*limit, program("bert-serving-start")], environment=where_engines_are, **options)

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


class Load:
    """Good clients in threads that ask until the block ends; every answer is compared.

    Args:
        pause: seconds between two requests of a client.
        total: stop by themselves after so many requests together.
    """

    def __init__(
        self, bench: Bench, server: Server, clients: int, pause: float = 0.0, total: int | None = None
    ) -> None:
        self.answers = self.wrong = 0
        self.failures: list[str] = []
        self.slowest = 0.0
        self._bench, self._server, self._pause, self._left = bench, server, pause, total
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True) for seed in range(clients)]

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        try:
            with self._server.client(120_000) as client:
                while not self._over.is_set() and self._take():
                    self._ask(client, self._bench.sample(rng))
                    self._over.wait(self._pause * rng.uniform(0.5, 1.5))
        except Exception as error:
            self.failures.append(described(error))

    def _ask(self, client: BertClient, numbers: list[int]) -> None:
        began = time.monotonic()
        right = self._bench.ask(client, numbers)
        with self._lock:
            self.answers += 1
            self.wrong += not right
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _take(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

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
        join(self._threads, timeout)

    def __str__(self) -> str:
        failed = f", {len(self.failures)} failed ({self.failures[0][:150]})" if self.failures else ", 0 failed"
        return f"{self.answers} answers, {self.wrong} wrong{failed}, {self.hung} hung, slowest {self.slowest:.1f} s"


def described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


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
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
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
