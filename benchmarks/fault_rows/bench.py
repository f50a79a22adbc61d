"""What every row needs: its place in the table, right vectors, load, outcomes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bert_serving.client import BertClient
from common import program

import bert_ft

from .server import Server, join

TOLERANCE = 2e-5


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
    """Settings of one run, and texts with their right vectors.

    Attributes:
        texts: 1 to 200 Chinese characters each, most of them few.
        poison: a character that is in none of them, and its id.
    """

    model_dir: Path
    old_client: Path
    quick: bool
    minutes: float

    def __post_init__(self) -> None:
        self.oracle = encoder(self.model_dir)
        ids = self.oracle.model.tokenizer.vocab.ids
        *usable, last = (piece for piece in ids if len(piece) == 1 and "一" <= piece <= "鿿")
        self.poison = last, ids[last]
        rng = random.Random(7)
        lengths = [min(200, 1 + int(rng.expovariate(1 / 15))) for _ in range(300)]
        self.texts = ["".join(rng.choices(usable, k=length)) for length in lengths]
        self.vectors = self.oracle.encode(self.texts)

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


def encoder(model_dir: Path) -> bert_ft.Encoder:
    """Right vectors: computed in this process, one text a batch."""
    return bert_ft.Encoder(model_dir, engine="tensorflow", batch_size=1)


def close(vectors: np.ndarray, expected: np.ndarray) -> bool:
    return vectors.shape == expected.shape and float(np.abs(vectors - expected).max()) <= TOLERANCE


def faulty(**faults: object) -> list[str]:
    """Flags of a server with an engine that has these faults of tests/engines/faults.py."""
    options = [f"{name}={value}" for name, value in faults.items()]
    return ["-engine", "tests.engines.faulty:FaultyEngine", "-engine_option", *options]


def new_checkpoint(folder: Path, vocab_file: Path, *flags: str) -> None:
    command = [program("bert-ft"), "new-checkpoint", str(folder), f"--vocab_file={vocab_file}", *flags]
    subprocess.run(command, check=True)


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        yield Path(folder)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def fill_with_noise(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


class Load:
    """Good clients in threads that ask until the block ends; every answer is compared.

    Args:
        pause: seconds between two requests of a client.
        total: stop by themselves after so many requests together.
    """

    def __init__(self, bench: Bench, server: Server, clients: int, pause: float = 0.0, total: float = math.inf) -> None:
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
