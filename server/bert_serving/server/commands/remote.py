"""Commands to a running server from outside, and saying truthfully what came of them."""

from __future__ import annotations

import json
import socket
import time
import uuid
from typing import Any

import zmq
from bert_serving.client.handshake import handshake_fault
from bert_serving.client.keys import ClientKeys, load_keys
from bert_serving.client.wire import RELOAD, SHOW_CONFIG, TERMINATION, topic_of

from bert_ft.errors import BertFtError

DEFAULT_PORT_OUT = 5556
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0


def terminate_server(ip: str, port: int, port_out: int | None, timeout: float, keys: ClientKeys | None = None) -> None:
    """Ask the server at ``ip:port`` to stop and wait until it is gone.

    Args:
        port_out: its result port; None tries ``port + 1`` and 5556.
        timeout: seconds for all of it.
        keys: for a server that has keys.

    Raises:
        BertFtError: nothing listens there, or it still does when the time is over.
    """
    deadline = time.monotonic() + timeout
    _reach(ip, port, keys, timeout, "stopped")
    with _Asking(ip, port, port_out, keys) as server:
        answered = server.config((time.monotonic() + deadline) / 2) is not None
        server.send(TERMINATION)
        while _listens(ip, port):
            if time.monotonic() > deadline:
                raise BertFtError(_still_there(ip, port, server.ports, answered, timeout))
            time.sleep(_POLL_SECONDS)


def reload_model(ip: str, port: int, port_out: int | None, timeout: float, keys: ClientKeys | None = None) -> str:
    """Ask the server at ``ip:port`` to serve what lies in its model directory now, and wait until it does.

    Args:
        port_out: its result port; None tries ``port + 1`` and 5556.
        timeout: seconds for all of it; a server that needs longer goes on by itself.
        keys: for a server that has keys.

    Returns:
        what came of it, one line.

    Raises:
        BertFtError: no bert-ft server is there, it refuses, cannot serve the new model, or the time is over.
    """
    deadline = time.monotonic() + timeout
    _reach(ip, port, keys, timeout, "reloaded")
    with _Asking(ip, port, port_out, keys) as server:
        config = server.config(min(deadline, time.monotonic() + _PATIENCE_SECONDS))
        if config is None:
            raise BertFtError(f"something listens at {ip}:{port}, but no server answered on {server.ports} (-port_out)")
        if "bert_ft_version" not in config:
            raise BertFtError(f"the server at {ip}:{port} is not bert-ft's: it cannot reload; start it again")
        server.send(RELOAD)
        while (answer := server.receive(min(deadline, time.monotonic() + 1))) is None:
            if not _listens(ip, port):
                raise BertFtError(f"the server at {ip}:{port} has ended meanwhile; its log says why")
            if time.monotonic() > deadline:
                raise BertFtError(
                    f"the server at {ip}:{port} still loads after {timeout:g} s and goes on; its log says what follows"
                )
    if "error" in answer:
        raise BertFtError(answer["error"]["message"])
    model, before = answer["model_fingerprint"], answer["before"]
    if not answer["reloaded"]:
        return f"the server at {ip}:{port} serves model {model} already: the directory holds no other"
    return f"the server at {ip}:{port} serves model {model} now, not {before}"


def load_client_keys(server_key: str | None, client_keys: str | None) -> ClientKeys | None:
    """The keys that -server_key and -client_keys name.

    Raises:
        BertFtError: they cannot be read.
    """
    try:
        return load_keys(server_key, client_keys)
    except ValueError as error:
        raise BertFtError(str(error)) from None


class _Asking:
    """A connection to a server's two ports, for commands.

    Attributes:
        ports: the result ports that are tried, as a user reads them.
    """

    def __init__(self, ip: str, port: int, port_out: int | None, keys: ClientKeys | None) -> None:
        ports_out = [port_out] if port_out else sorted({min(port + 1, 65535), DEFAULT_PORT_OUT} - {port})
        self.ports = f"result port {' and '.join(map(str, ports_out))}"
        self._port = port
        self._identity = str(uuid.uuid4()).encode()
        self._number = 0
        self._context = zmq.Context()
        self._requests = self._context.socket(zmq.PUSH)
        self._replies = self._context.socket(zmq.SUB)
        for socket_ in (self._requests, self._replies):
            if keys is not None:
                keys.apply(socket_)
        self._replies.setsockopt(zmq.SUBSCRIBE, topic_of(self._identity, keys.public) if keys else self._identity)
        self._requests.connect(f"tcp://{ip}:{port}")
        for one in ports_out:
            self._replies.connect(f"tcp://{ip}:{one}")

    def __enter__(self) -> _Asking:
        return self

    def __exit__(self, *exception: object) -> None:
        self._context.destroy(linger=0)

    def config(self, deadline: float) -> dict[str, Any] | None:
        """What the server of this very port says of itself; None if none answers.

        A server that drops early results (the original does) may lose the first answer: it is asked again.
        """
        while True:
            self.send(SHOW_CONFIG)
            answer = self.receive(min(deadline, time.monotonic() + 1))
            if answer is not None and answer.get("port", self._port) == self._port:
                return answer
            if time.monotonic() > deadline:
                return None

    def send(self, command: bytes) -> None:
        self._number += 1
        self._requests.send_multipart([self._identity, command, b"%d" % self._number, b"0"])

    def receive(self, deadline: float) -> dict[str, Any] | None:
        """The answer to the last command."""
        while self._replies.poll(max(0, int(1000 * (deadline - time.monotonic())))):
            frames = self._replies.recv_multipart()
            try:
                answer = json.loads(frames[1])
            except (ValueError, IndexError):
                return None
            if frames[-1] == b"%d" % self._number and isinstance(answer, dict):
                return answer
        return None


def _reach(ip: str, port: int, keys: ClientKeys | None, timeout: float, done: str) -> None:
    """Raises: BertFtError: no server is there, or it lets these keys do nothing."""
    if not _listens(ip, port):
        raise BertFtError(f"no server at {ip}:{port}; nothing was {done}")
    if fault := handshake_fault(ip, port, keys, timeout / 4):
        raise BertFtError(f"the server at {ip}:{port} was not {done}: {fault}")


def _still_there(ip: str, port: int, ports: str, answered: bool, timeout: float) -> str:
    if answered:
        return (
            f"the server at {ip}:{port} was asked to stop and still listens after {timeout:g} s; it may be finishing "
            "requests, or take TERMINATION from its own machine or with an admitted key only"
        )
    return (
        f"something listens at {ip}:{port}, but no server answered on {ports} (-port_out), and it did "
        f"not stop within {timeout:g} s"
    )


def _listens(ip: str, port: int) -> bool:
    try:
        with socket.create_connection((ip, port), timeout=2):
            return True
    except (OSError, UnicodeError):
        return False
