"""A peer's engine in a process of its own, which works only while it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"


class WorkerError(Exception):
    """The worker ended; the message is the last line it wrote to standard error."""


class WorkerProcess:
    """A script of ``workers/`` run by an interpreter of its choice; see ``workers/loop.py`` for what they say.

    Args:
        name: how tables call it.
        specification: as JSON; ``threads`` goes into the environment too, for libraries that look there.

    Attributes:
        version: of what it measures.
    """

    def __init__(self, name: str, python: str | Path, script: str, specification: dict[str, Any]) -> None:
        self.name = name
        self.specification = specification
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(specification, file)
        threads = str(specification["threads"])
        self._process = subprocess.Popen(
            [str(python), str(WORKERS / script), file.name], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": threads},
        )  # fmt: skip
        try:
            self.version: str = self._answer()["ready"]
        except WorkerError:
            self.close()
            raise
        finally:
            os.unlink(file.name)

    def ask(self, **question: Any) -> dict[str, Any]:
        """Raises WorkerError."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its reason is in the log
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            said = [text for text in self._log.read().splitlines() if text.strip()]
            raise WorkerError(said[-1] if said else f"exit status {self._process.returncode}")
        return json.loads(line)
