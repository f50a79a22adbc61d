"""The two sockets of a client, and who may use them when."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

import zmq
from bert_serving.client.keys import ClientKeys
from bert_serving.client.wire import topic_of

S = TypeVar("S", bound=zmq.Socket)

LOOK_SECONDS = 1.0


def somebody_listens(ip: str, port: int) -> bool:
    """Whether a TCP connection to `port` is taken within a second (and the time to look up the name)."""
    try:
        with socket.create_connection((ip, port), LOOK_SECONDS) as connection:
            return connection.getsockname() != connection.getpeername()  # a port of its own may be drawn for it
    except OSError:
        return False


class Connection(Generic[S]):
    """PUSH for requests, SUB for replies, in a context of their own.

    Neither has a high-water mark: sending never blocks, whoever listens, and every reply is taken
    in, however many requests are outstanding (a 1.10.0 server drops what a slow reader leaves).
    An owner that is never closed is closed when it is collected; left to themselves, sockets in a
    reference cycle would make the collector wait for ever.

    Args:
        owner: the client, whose end is the end of the connection.
        context: a new context, plain or asyncio; `receiver` is of its socket type.
        keys: for a server that has keys.

    Raises:
        ValueError: `ip` is no address.
    """

    def __init__(
        self,
        owner: object,
        context: zmq.Context[S],
        identity: bytes,
        ip: str,
        port: int,
        port_out: int,
        keys: ClientKeys | None = None,
    ) -> None:
        self.receiver: S = context.socket(zmq.SUB)
        self._sender: zmq.Socket[bytes] = zmq.Socket(context, zmq.PUSH)
        self._close = weakref.finalize(owner, _close, context, self.receiver, self._sender)
        self.receiver.setsockopt(zmq.RCVHWM, 0)
        self._sender.setsockopt(zmq.SNDHWM, 0)
        if keys is not None:
            keys.apply(self.receiver)
            keys.apply(self._sender)
        # a server with keys gives an identity's replies to the key that asked, so the topic names both
        self.receiver.setsockopt(zmq.SUBSCRIBE, topic_of(identity, keys.public) if keys else identity)
        self._endpoints: list[tuple[zmq.Socket, str]] = [
            (self.receiver, f"tcp://{ip}:{port_out}"),
            (self._sender, f"tcp://{ip}:{port}"),
        ]
        try:
            for one, endpoint in self._endpoints:
                one.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ValueError(f'"ip" {ip!r} is no address to connect to: {error}') from error

    def send_all(self, outbox: deque[list[bytes]]) -> None:
        """Send the messages of `outbox` and empty it.

        libzmq gives up a connection whose handshake the other side refuses, and a blocking send would then wait for
        ever. So it is made again each time there is something to send; what finds none is dropped, as if it had been
        lost on the way.
        """
        while outbox:
            frames = outbox.popleft()
            try:
                self._sender.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                self._connect_again()
                with contextlib.suppress(zmq.Again):
                    self._sender.send_multipart(frames, zmq.NOBLOCK)

    def _connect_again(self) -> None:
        for one, endpoint in self._endpoints:
            with contextlib.suppress(zmq.ZMQError):
                one.disconnect(endpoint)
            one.connect(endpoint)

    @property
    def closed(self) -> bool:
        """Whether the sockets are closed."""
        return not self._close.alive

    def close(self) -> None:
        """Close the sockets; harmless when repeated, and (pyzmq sees to it) without effect in a fork."""
        self._close()


class CallGuard:
    """Context manager around each use of the sockets; refuses a second one while it lasts.

    ZeroMQ sockets belong to one thread and do not survive a fork: say so instead of corrupting them.
    """

    def __init__(self, check_usable: Callable[[], None]) -> None:
        self._check_usable = check_usable
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._check_usable()
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "this client is in the middle of another call; an instance serves one thread: make one per "
                "thread, or use ConcurrentBertClient"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def _close(context: zmq.Context, *sockets: zmq.Socket) -> None:
    for one in sockets:
        one.close(linger=0)
    context.term()
