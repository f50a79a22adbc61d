"""The server under test: started, waited for, weighed, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

from bert_serving.benchmark.options import server_arguments
from bert_serving.benchmark.processes import memory_mb
from bert_serving.client import BertClient
from bert_serving.server.options import ServerOptions

from bert_ft.errors import BertFtError

HOST = "127.0.0.1"
_START = "from bert_serving_scripts import start; start()"
_ASK_MS = 1000
_PATIENCE_SECONDS = (5, 10)
_LOG_BYTES = 4000


class ServerProcess:
    """A bert-serving-start of its own for the length of a ``with`` block, which begins when it is ready.

    Args:
        options: its flags; a port of 0 stands for a free one.
        patience: seconds it may take until it is ready.

    Attributes:
        options: the same, with the ports it has.
        ready_seconds: from the command to the first answer that says it is ready.
        config: its SHOW_CONFIG.

    Raises:
        BertFtError: it ended, or is not ready in time; the message has the server's own last words.
    """

    def __init__(self, options: ServerOptions, patience: float) -> None:
        self.options = with_free_ports(options)
        self._patience = patience
        self.ready_seconds = 0.0
        self.config: dict[str, Any] = {}

    def __enter__(self) -> ServerProcess:
        self._log = tempfile.TemporaryFile()
        began = time.monotonic()
        # A session of its own: Ctrl-C is for the benchmark, which then stops the server.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *server_arguments(self.options)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # a folder bert_ft in the current directory is none of ours
        )  # fmt: skip
        try:
            self._client = BertClient(
                HOST, self.options.port, self.options.port_out, ignore_all_checks=True, timeout=_ASK_MS, retry=False
            )
            self.config = self._wait(began)
            self.ready_seconds = time.monotonic() - began
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def check(self) -> None:
        """
        Raises:
            BertFtError: the server has ended.
        """
        if self._process.poll() is not None:
            raise BertFtError(f"the server has ended: {self._last_words()}")

    def sequences(self) -> int:
        """Texts that the server has taken since its start, by its own count.

        Raises:
            BertFtError: it does not answer, or has lost a worker.
        """
        try:
            status = self._client.server_status
        except TimeoutError:
            self.check()
            raise BertFtError("the server does not answer SHOW_STATUS") from None
        if any(worker["restarts"] for worker in status["workers"]):
            raise BertFtError(f"a worker of the server died under the load: {self._last_words()}")
        return int(status["statistic"]["num_total_seq"])

    def memory_mb(self) -> float | None:
        """Sum of the proportional set sizes of its processes; None where /proc does not tell."""
        return memory_mb(self._process.pid)

    def _wait(self, began: float) -> dict[str, Any]:
        while True:
            try:
                config = self._client.server_config
                if config["ready"]:
                    return config
                time.sleep(0.05)
            except TimeoutError:
                pass
            if self._process.poll() is not None:
                raise BertFtError(f"the server did not start: {self._last_words()}")
            if time.monotonic() - began > self._patience:
                raise BertFtError(
                    f"the server is not ready after {self._patience:g} s (-wait_till_ready): {self._last_words()}"
                )

    def _stop(self) -> None:
        """SIGTERM; again, which ends its wait for requests that nobody reads any more; SIGKILL."""
        if hasattr(self, "_client"):
            self._client.close()
        try:
            for seconds in _PATIENCE_SECONDS:
                self._process.terminate()
                try:
                    self._process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._log.close()

    def _last_words(self) -> str:
        """Its one-line error, or whatever it wrote last."""
        self._log.seek(max(0, self._log.seek(0, 2) - _LOG_BYTES))
        lines = [line for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or ["it wrote nothing"])[-1]


def with_free_ports(options: ServerOptions) -> ServerOptions:
    """Replace ports of 0."""
    with socket.create_server((HOST, 0)) as first, socket.create_server((HOST, 0)) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
    return replace(options, port=options.port or ports[0], port_out=options.port_out or ports[1])
