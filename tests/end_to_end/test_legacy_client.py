"""The unmodified bert-serving-client 1.10.0 gets the original server's vectors from ours."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.golden import GOLDEN, TEXTS, Golden
from tests.server.support import RunningServer, running_server

SCRIPT = Path(__file__).with_name("legacy_encode.py")


@pytest.fixture(scope="session")
def legacy_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel from the package index and nothing else."""
    folder = tmp_path_factory.mktemp("legacy_client")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(folder), "bert-serving-client==1.10.0"], check=True, timeout=120)
    return folder


class _Ahead:
    """Servers for one golden output after the other; two more are starting while one is tried."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._coming: dict[str, tuple[contextlib.ExitStack, Future[RunningServer]]] = {}

    @contextlib.contextmanager
    def server(self, golden: Golden) -> Iterator[RunningServer]:
        place = GOLDEN.index(golden)
        for one in GOLDEN[place : place + 3]:
            if one.name not in self._coming:
                self._start(one)
        stack, coming = self._coming.pop(golden.name)
        with stack:
            yield coming.result()

    def _start(self, golden: Golden) -> None:
        length = [] if "-max_seq_len" in golden.flags else ["-max_seq_len", "25"]
        server = running_server("-model_dir", str(golden.model_dir), *golden.flags.split(), *length)
        stack = contextlib.ExitStack()
        self._coming[golden.name] = stack, self._pool.submit(stack.enter_context, server)

    def close(self) -> None:
        """Stop those that no test has asked for."""
        self._pool.shutdown()
        for stack, _ in self._coming.values():
            stack.close()


@pytest.fixture(scope="module")
def ahead() -> Iterator[_Ahead]:
    servers = _Ahead()
    yield servers
    servers.close()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_golden_vectors_through_the_whole_server(
    golden: Golden, ahead: _Ahead, legacy_client: Path, tmp_path: Path
) -> None:
    with ahead.server(golden) as server:
        result = tmp_path / "result.npz"
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(legacy_client), str(server.port), str(server.port_out), str(result)],
            input=json.dumps(TEXTS),
            env={**os.environ, "PYTHONPATH": str(legacy_client)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    found, expected = np.load(result), golden.vectors
    assert found["vectors"].dtype == expected.dtype
    assert found["vectors"].shape == expected.shape
    difference = np.abs(found["vectors"].astype(np.float32) - expected.astype(np.float32))
    assert difference.max() <= golden.tolerance
    assert found["requests"] == 1
