"""Stopping a server from outside, and saying truthfully what came of it."""

from __future__ import annotations

import json
import socket
import time
import uuid

import zmq
from bert_serving.client.handshake import handshake_fault
from bert_serving.client.keys import ClientKeys, load_keys
from bert_serving.client.wire import SHOW_CONFIG, TERMINATION, topic_of

from bert_ft.errors import BertFtError

DEFAULT_PORT_OUT = 5556
_POLL_SECONDS = 0.1


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
    if not _listens(ip, port):
        raise BertFtError(f"no server at {ip}:{port}; nothing was stopped")
    if fault := handshake_fault(ip, port, keys, timeout / 4):
        raise BertFtError(f"the server at {ip}:{port} was not stopped: {fault}")
    context = zmq.Context()
    try:
        requests = context.socket(zmq.PUSH)
        requests.setsockopt(zmq.LINGER, int(timeout * 1000))
        if keys is not None:
            keys.apply(requests)
        requests.connect(f"tcp://{ip}:{port}")
        ports_out = [port_out] if port_out else sorted({min(port + 1, 65535), DEFAULT_PORT_OUT} - {port})
        answered = _answers(context, requests, ip, port, ports_out, (time.monotonic() + deadline) / 2, keys)
        requests.send_multipart([b"0", TERMINATION, b"0", b"0"])
        while _listens(ip, port):
            if time.monotonic() > deadline:
                raise BertFtError(_still_there(ip, port, ports_out, answered, timeout))
            time.sleep(_POLL_SECONDS)
    finally:
        context.destroy(linger=0)


def load_client_keys(server_key: str | None, client_keys: str | None) -> ClientKeys | None:
    """The keys that -server_key and -client_keys name.

    Raises:
        BertFtError: they cannot be read.
    """
    try:
        return load_keys(server_key, client_keys)
    except ValueError as error:
        raise BertFtError(str(error)) from None


def _answers(
    context: zmq.Context[zmq.Socket[bytes]],
    requests: zmq.Socket[bytes],
    ip: str,
    port: int,
    ports_out: list[int],
    deadline: float,
    keys: ClientKeys | None,
) -> bool:
    """Whether a bert-as-service server answers SHOW_CONFIG for this very port."""
    identity = str(uuid.uuid4()).encode()
    replies = context.socket(zmq.SUB)
    if keys is not None:
        keys.apply(replies)
    replies.setsockopt(zmq.SUBSCRIBE, topic_of(identity, keys.public) if keys else identity)
    for port_out in ports_out:
        replies.connect(f"tcp://{ip}:{port_out}")
    # A server that drops early results (the original does) may lose the first answer: ask again.
    for number in range(1, 1_000):
        requests.send_multipart([identity, SHOW_CONFIG, b"%d" % number, b"0"])
        if replies.poll(int(1000 * min(1.0, max(0.0, deadline - time.monotonic())))):
            try:
                config = json.loads(replies.recv_multipart()[1])
                return isinstance(config, dict) and config.get("port", port) == port
            except (ValueError, IndexError):
                return False
        if time.monotonic() > deadline:
            return False
    return False


def _still_there(ip: str, port: int, ports_out: list[int], answered: bool, timeout: float) -> str:
    if answered:
        return (
            f"the server at {ip}:{port} was asked to stop and still listens after {timeout:g} s; it may be finishing "
            "requests, or take TERMINATION from its own machine or with an admitted key only"
        )
    tried = " and ".join(map(str, ports_out))
    return (
        f"something listens at {ip}:{port}, but no server answered on result port {tried} (-port_out), and it did "
        f"not stop within {timeout:g} s"
    )


def _listens(ip: str, port: int) -> bool:
    try:
        with socket.create_connection((ip, port), timeout=2):
            return True
    except (OSError, UnicodeError):
        return False
