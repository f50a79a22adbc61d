"""Why a server stays silent: ZeroMQ tells its socket monitor, and nobody else, how a handshake ended."""

from __future__ import annotations

import time

import zmq
from bert_serving.client.keys import ClientKeys
from zmq.utils.monitor import recv_monitor_message

PROBE_SECONDS = 1.0
_TRIES = 4

_REFUSED = zmq.Event.HANDSHAKE_FAILED_AUTH
_DIFFERENT = zmq.Event.HANDSHAKE_FAILED_PROTOCOL
_ENDED = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
_NO_FAULT = (zmq.Event.HANDSHAKE_SUCCEEDED, zmq.Event.CLOSED)


def handshake_fault(ip: str, port: int, keys: ClientKeys | None, seconds: float = PROBE_SECONDS) -> str | None:
    """What is wrong with the keys, found by connecting once more; None if a handshake succeeds, or none is answered.

    A monitor is not left on the client's own sockets: one that nobody reads would block their I/O thread in the end.

    Args:
        seconds: longest wait.
    """
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            keys.apply(socket)
        monitor = socket.get_monitor_socket(_REFUSED | _DIFFERENT | _ENDED | sum(_NO_FAULT))
        try:
            socket.connect(f"tcp://{ip}:{port}")
            event = _verdict(monitor, time.monotonic() + seconds)
        finally:
            socket.disable_monitor()
    return None if event is None else _explanation(event, keys)


def _verdict(monitor: zmq.Socket, deadline: float) -> int | None:
    """How the handshake fails.

    Either side may be the first to see why; the other then only sees that the connection has ended, and tries again.
    """
    verdict = None
    for _ in range(_TRIES):
        if not monitor.poll(max(0, int(1000 * (deadline - time.monotonic())))):
            break
        event = recv_monitor_message(monitor)["event"]
        if event in _NO_FAULT:
            return None
        verdict = event
        if event != _ENDED:
            break
    return verdict


def _explanation(event: int, keys: ClientKeys | None) -> str:
    if keys is None:
        return (
            "it ends every handshake: it has keys and answers only with the right one, so give its public key as "
            "server_key, or something else listens there"
        )
    if event == _REFUSED:
        return (
            "it has keys, answers only with the right one, and refuses this client's: give the client_keys that "
            f"belong to a public key of its -curve_client_keys folder (this client's is {keys.public.decode('ascii')})"
        )
    return "a server with keys answers only with the right one, and server_key is not its public key, or it has no keys"
