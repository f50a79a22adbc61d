"""Real server processes with the dummy engine, and the legacy protocol by hand."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import zmq
from bert_serving.benchmark.processes import children
from bert_serving.server.limits import DEFAULT, Limits

from tests.preloaded import LIGHT, popen

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
IDS = {word: number for number, word in enumerate(WORDS)}
DIM = 8
POSITIONS = 64


def ids_of(text: str, maximum: int = POSITIONS) -> list[int]:
    """[CLS], the letters of a text of single letters, [SEP]."""
    return [IDS["[CLS]"], *[IDS.get(word, 1) for word in text.split()][: maximum - 2], IDS["[SEP]"]]


def token_vectors(ids: Sequence[int]) -> np.ndarray:
    """The dummy engine's formula, worked out for one text: [L, 8]."""
    return np.array([[np.sin(i * (k + 1) + p) for k in range(DIM)] for p, i in enumerate(ids)], np.float32)


def expected(texts: Sequence[str], maximum: int = POSITIONS) -> np.ndarray:
    return np.stack([token_vectors(ids_of(text, maximum)).mean(axis=0) for text in texts])


def random_texts(rng: np.random.Generator, count: int, longest: int = 20) -> list[str]:
    return [" ".join(rng.choice(WORDS[4:20], rng.integers(1, longest + 1))) for _ in range(count)]


_PORTS = range(20000, 32000)
"""Below those that the system gives to outgoing connections."""


def _own_ports() -> Iterator[int]:
    """Ports of this test process alone: several may run side by side."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = len(_PORTS) // workers
    mine = _PORTS[int(name.removeprefix("gw")) * share :][:share]
    first = os.getpid() % share
    return itertools.cycle([*mine[first:], *mine[:first]])


_ports = _own_ports()


def free_ports(count: int = 2) -> list[int]:
    """Ports that nobody listens at; one is not given again soon, for a server that starts has not bound its own yet."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


class RunningServer:
    """A bert-serving-start process; its log is read as it comes.

    Args:
        anew: start the interpreter, and those of the workers, as a user does; else see :mod:`tests.preloaded`.
        prologue: Python code that the process begins with.
        limits: of the server, where they are not the usual ones.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        port: int,
        port_out: int,
        anew: bool = False,
        prologue: str = "pass",
        limits: Limits = DEFAULT,
    ) -> None:
        self.port, self.port_out = port, port_out
        code = f"{prologue}; from bert_serving.server import limits; limits.DEFAULT = limits.{limits!r}; "
        code += "import sys; from bert_serving.server.commands.cli import start; start(sys.argv[1:])"
        self.process = popen(
            ["-c", code, *arguments],
            None if anew else LIGHT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str, times: int = 1, timeout: float = 30) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.log.count(text) >= times, timeout), self.log

    def children(self) -> list[int]:
        return children(self.pid)

    def end(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        self.process.send_signal(number)
        return self.exit_status(timeout)

    def exit_status(self, timeout: float = 20) -> int:
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


StartServer = Callable[..., RunningServer]


class RawClient:
    """The legacy protocol by hand."""

    def __init__(self, server: RunningServer, identity: bytes, listen: bool = True) -> None:
        self.identity = identity
        self._server = server
        self.context = zmq.Context()
        self.push = self.context.socket(zmq.PUSH)
        self.push.connect(f"tcp://127.0.0.1:{server.port}")
        self.sub = self.context.socket(zmq.SUB)
        if listen:
            self.listen(identity)

    def listen(self, topic: bytes) -> None:
        self.sub.setsockopt(zmq.SUBSCRIBE, topic)
        self.sub.connect(f"tcp://127.0.0.1:{self._server.port_out}")

    def send(self, payload: Any, number: int = 1, count: int | None = None, *more: bytes) -> None:
        if not isinstance(payload, bytes):
            count = len(payload) if count is None else count
            payload = json.dumps(payload).encode()
        self.push.send_multipart([self.identity, payload, b"%d" % number, b"%d" % (count or 0), *more])

    def receive(self, timeout: float = 15) -> list[bytes]:
        assert self.sub.poll(int(timeout * 1000)), "no reply"
        return self.sub.recv_multipart()

    def silent(self, seconds: float = 0.3) -> bool:
        return not self.sub.poll(int(seconds * 1000))

    def vectors(self, timeout: float = 15) -> tuple[int, np.ndarray, dict[str, Any]]:
        topic, header, body, number = self.receive(timeout)
        assert topic == self.identity + b"\0"
        info = json.loads(header)
        assert "error" not in info, info["error"]
        return int(number), np.frombuffer(body, info["dtype"]).reshape(info["shape"]), info

    def error(self, timeout: float = 15) -> tuple[int, dict[str, str]]:
        _, header, body, number = self.receive(timeout)
        assert body == b""
        return int(number), json.loads(header)["error"]

    def ask(self, command: bytes, number: int = 900) -> dict[str, Any]:
        self.send(command, number)
        _, answer, back = self.receive()
        assert int(back) == number
        return json.loads(answer)

    def close(self) -> None:
        self.context.destroy(linger=0)


Connect = Callable[..., RawClient]


class Listening(Counter[bytes]):
    """Who listens, in the place of the sender that `Subscribers` tells it to."""

    def subscribe(self, address: bytes) -> None:
        self[address] += 1

    def unsubscribe(self, address: bytes) -> None:
        self[address] -= 1


def wait_until(condition: Callable[[], bool], timeout: float = 15) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


@contextlib.contextmanager
def running_server(*arguments: str, timeout: float = 90) -> Iterator[RunningServer]:
    """A server that is ready; stopped at the end of the block."""
    port, port_out = free_ports()
    server = RunningServer([*arguments, "-port", str(port), "-port_out", str(port_out)], port, port_out)
    try:
        server.wait_for("all set, ready to serve request!", timeout=timeout)
        yield server
        assert server.end() == 0, server.log
    finally:
        server.process.kill()
