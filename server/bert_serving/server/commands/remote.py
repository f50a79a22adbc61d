"""Commands to a running server from outside, and saying truthfully what came of them."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import zmq
from bert_serving.client.checks import check_identity
from bert_serving.client.handshake import handshake_fault
from bert_serving.client.keys import load_keys
from bert_serving.client.sockets import Connection
from bert_serving.client.wire import RELOAD, SHOW_CONFIG, TERMINATION, request_frames

from bert_ft.errors import BertFtError

DEFAULT_PORT_OUT = 5556
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0


class RunningServer:
    """The server at ``ip:port``.

    Args:
        timeout: milliseconds for all that is asked of it.
        port_out: its result port; None tries ``port + 1`` and 5556.
        server_key: see :func:`bert_serving.client.keys.load_keys`.
        client_keys: likewise.

    Raises:
        BertFtError: the keys cannot be read.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        timeout: int,
        port_out: int | None = None,
        server_key: str | None = None,
        client_keys: str | None = None,
    ) -> None:
        self._ip, self._port, self._seconds = ip, port, timeout / 1000
        self._ports_out = [port_out] if port_out else sorted({min(port + 1, 65535), DEFAULT_PORT_OUT} - {port})
        self._no_answer = (
            f"something listens at {ip}:{port}, but no server answered on result port "
            f"{' and '.join(map(str, self._ports_out))} (-port_out)"
        )
        self._name = f"the server at {ip}:{port}"
        self._identity = check_identity(None)
        self._number = 0
        try:
            self._keys = load_keys(server_key, client_keys)
        except ValueError as error:
            raise BertFtError(str(error)) from None

    def terminate(self) -> None:
        """Ask it to stop and wait until it is gone.

        Raises:
            BertFtError: nothing listens there, or it still does when the time is over.
        """
        deadline = time.monotonic() + self._seconds
        with self._reached("stopped"):
            answered = self._config((time.monotonic() + deadline) / 2) is not None
            self._send(TERMINATION)
            while self._listens():
                if time.monotonic() > deadline:
                    raise BertFtError(self._still_there(answered))
                time.sleep(_POLL_SECONDS)

    def reload(self) -> str:
        """Ask it to serve what lies in its model directory now, and wait until it does, or goes on loading by itself.

        Returns:
            what came of it, one line.

        Raises:
            BertFtError: no bert-ft server is there, it refuses, cannot serve the new model, or the time is over.
        """
        deadline = time.monotonic() + self._seconds
        with self._reached("reloaded"):
            config = self._config(min(deadline, time.monotonic() + _PATIENCE_SECONDS))
            if config is None:
                raise BertFtError(self._no_answer)
            if "bert_ft_version" not in config:
                raise BertFtError(f"{self._name} is not bert-ft's: it cannot reload; start it again")
            self._send(RELOAD)
            while (answer := self._receive(min(deadline, time.monotonic() + 1))) is None:
                if not self._listens():
                    raise BertFtError(f"{self._name} has ended meanwhile; its log says why")
                if time.monotonic() > deadline:
                    raise BertFtError(
                        f"{self._name} still loads after {self._seconds:g} s and goes on; its log says what follows"
                    )
        if "error" in answer:
            raise BertFtError(answer["error"]["message"])
        model, before = answer["model_fingerprint"], answer["before"]
        if not answer["reloaded"]:
            return f"{self._name} serves model {model} already: the directory holds no other"
        return f"{self._name} serves model {model} now, not {before}"

    @contextlib.contextmanager
    def _reached(self, done: str) -> Iterator[None]:
        """Connected within the block; raises BertFtError if no server is there, or it lets these keys do nothing."""
        if not self._listens():
            raise BertFtError(f"no server at {self._ip}:{self._port}; nothing was {done}")
        if fault := handshake_fault(self._ip, self._port, self._keys, self._seconds / 4):
            raise BertFtError(f"{self._name} was not {done}: {fault}")
        port_out, *more = self._ports_out
        self._connection = Connection(self, zmq.Context(), self._identity, self._ip, self._port, port_out, self._keys)
        with contextlib.closing(self._connection):
            for one in more:
                self._connection.receiver.connect(f"tcp://{self._ip}:{one}")
            yield

    def _config(self, deadline: float) -> dict[str, Any] | None:
        """What the server of this very port says of itself; None if none answers.

        A server that drops early results (the original does) may lose the first answer: it is asked again.
        """
        while True:
            self._send(SHOW_CONFIG)
            answer = self._receive(min(deadline, time.monotonic() + 1))
            if answer is not None and answer.get("port", self._port) == self._port:
                return answer
            if time.monotonic() > deadline:
                return None

    def _send(self, command: bytes) -> None:
        self._number += 1
        self._connection.send_all(deque([request_frames(self._identity, command, self._number)]))

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        """The answer to the last command."""
        while self._connection.receiver.poll(max(0, int(1000 * (deadline - time.monotonic())))):
            frames = self._connection.receiver.recv_multipart()
            try:
                answer = json.loads(frames[1])
            except (ValueError, IndexError):
                return None
            if frames[-1] == b"%d" % self._number and isinstance(answer, dict):
                return answer
        return None

    def _still_there(self, answered: bool) -> str:
        if answered:
            return (
                f"{self._name} was asked to stop and still listens after {self._seconds:g} s; it may be finishing "
                "requests, or take TERMINATION from its own machine or with an admitted key only"
            )
        return f"{self._no_answer}, and it did not stop within {self._seconds:g} s"

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self._ip, self._port), timeout=2):
                return True
        except (OSError, UnicodeError):
            return False
