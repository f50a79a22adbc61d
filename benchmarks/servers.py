"""Start and stop servers for a comparison: ours and the original, in folders of their own, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

READY = "all set, ready to serve request!"


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@contextlib.contextmanager
def serving(program: str | Path, flags: list[str], timeout: float = 120) -> Iterator[tuple[int, int, float]]:
    """Run bert-serving-start for the length of a block.

    Yields:
        its two ports and the seconds from the command to "all set".
    """
    ports = free_ports()
    command = [str(program), *flags, "-port", str(ports[0]), "-port_out", str(ports[1])]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TMPDIR": folder},
        )  # fmt: skip
        try:
            while not _said(log, READY):
                if process.poll() is not None or time.monotonic() - began > timeout:
                    log.seek(0)
                    sys.exit(f"{' '.join(command)} did not start:\n{log.read()[-3000:]}")
                time.sleep(0.05)
            yield (*ports, time.monotonic() - began)
        finally:
            # the whole group: the original leaves its children behind when only the parent is stopped
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def our_program() -> Path:
    return Path(sys.executable).with_name("bert-serving-start")


def _said(log, text: str) -> bool:
    log.seek(0)
    return text in log.read()
