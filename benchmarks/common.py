"""What benchmarks share: their command lines, texts, servers of their own, figures of rounds."""

from __future__ import annotations

import argparse
import contextlib
import operator
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bert_serving.benchmark.processes import memory_mb
from bert_serving.client import BertClient

ROOT = Path(__file__).resolve().parents[1]
READY = "all set, ready to serve request!"
LONG_MS = 3_600_000
"""Patience of clients that send thousands of texts at once."""


def command_line(description: str | None, *paths: str) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as its help and needs ``--NAME PATH`` for each of ``paths``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser


def read_texts(path: Path, count: int | None = None) -> list[str]:
    """A text a line, or label TAB text; evenly spread over the file when it has more than ``count``."""
    lines = path.read_text(encoding="utf-8").split("\n")
    texts = [text for line in lines if (text := line.split("\t")[-1].strip())]
    if count is None or len(texts) <= count:
        return texts
    return [texts[index * len(texts) // count] for index in range(count)]


def program(name: str) -> str:
    """The path of one of our commands."""
    return str(Path(sys.executable).with_name(name))


def free_ports(count: int = 2) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Server:
    """bert-serving-start in a folder of its own, with its log in a file; it ends with the ``with`` block.

    Args:
        command: another program than ours, such as that of the original.
        ports: those of an earlier server, to take its place.
        http: whether it listens at ``http_port`` too.
        patience: seconds to wait until it is ready; 0 not to wait.

    Attributes:
        ready_seconds: from the command to "all set".
    """

    def __init__(
        self,
        flags: Sequence[str],
        command: Sequence[str] = (),
        ports: Sequence[int] = (),
        http: bool = False,
        patience: float = 120,
    ) -> None:
        self.port, self.port_out, self.http_port = [*ports, *free_ports(3)][:3]
        self.folder = Path(tempfile.mkdtemp(prefix="server-"))
        self.log_path = self.folder.with_suffix(".log")
        line = [*(command or [program("bert-serving-start")]), *flags]
        line += ["-port", str(self.port), "-port_out", str(self.port_out)]
        line += ["-http_port", str(self.http_port)] if http else []
        variables = {**os.environ, "TMPDIR": str(self.folder), "CUDA_VISIBLE_DEVICES": ""}
        self._began = time.monotonic()
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                line, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, env=variables, start_new_session=True
            )
        if patience:
            try:
                self._wait(patience)
            except BaseException as error:
                self.__exit__(type(error))
                raise

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _wait(self, patience: float) -> None:
        while READY not in self.log:
            if self.process.poll() is not None or time.monotonic() - self._began > patience:
                raise RuntimeError(f"{self.log_path}: the server did not start:\n{self.log[-3000:]}")
            time.sleep(0.05)
        self.ready_seconds = time.monotonic() - self._began

    def client(self, timeout: int | None = 60_000, **options: Any) -> BertClient:
        return BertClient(port=self.port, port_out=self.port_out, timeout=timeout, **options)

    def memory_mb(self) -> float:
        """The proportional set sizes of its processes."""
        found = memory_mb(self.process.pid)
        assert found is not None, "this system does not say"
        return found

    def end(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end()
        finally:
            # the whole group: the original leaves its children behind when only the parent is stopped
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
            if not any(exception):
                self.log_path.unlink(missing_ok=True)


def served_vectors(texts: list[str], flags: Sequence[str], **options: Any) -> np.ndarray:
    """Of a server that is started for them; ``options`` as those of :class:`Server`."""
    with Server(flags, **options) as server, server.client(LONG_MS) as client:
        return client.encode(texts)


def least_cosine(ones: np.ndarray, others: np.ndarray) -> float:
    """The smallest cosine between rows of the same place."""
    lengths = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    return float(((ones * others).sum(axis=1) / lengths).min())


class Rounds:
    """Figures by name, a value for each round, and the Markdown table of their medians.

    Args:
        form: how a value is printed.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._values: dict[str, list[float]] = {}

    def note(self, name: str, value: float) -> None:
        self._values.setdefault(name, []).append(value)
        print(f"{name}: {value:{self._form}}", flush=True)

    def print_table(self) -> None:
        print("| figure | median | least-most |\n|---|---|---|")
        for name, values in self._values.items():
            self._print(name, values, self._form)

    def compare(self, name: str, one: str, other: str) -> None:
        """Print a row of the table: one figure divided by another of the same round."""
        self._print(name, map(operator.truediv, self._values[one], self._values[other]), ".3f")

    def subtract(self, name: str, one: str, other: str) -> None:
        self._print(name, map(operator.sub, self._values[one], self._values[other]), ".2f")

    def _print(self, name: str, row: Iterable[float], form: str) -> None:
        values = list(row)
        print(f"| {name} | {statistics.median(values):{form}} | {min(values):{form}}-{max(values):{form}} |")


def markdown_table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """``head`` is its first line."""
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *(f"| {' | '.join(cells)} |" for cells in rows)])
