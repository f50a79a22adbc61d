"""Peers that send much and never end a message, and peers that are too many."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

import zmq
from bert_serving.server.process.descriptors import open_descriptors

_BYTES_RECEIVED = 128
"""Where Linux 4.1 and later has the count in ``struct tcp_info``."""


class Peer(NamedTuple):
    """A TCP connection; descriptors are used again, the inodes of sockets are not.

    Attributes:
        inode: 0 if it has ended.
    """

    descriptor: int
    inode: int

    @property
    def is_open(self) -> bool:
        return self.descriptor < 0 or (self.inode > 0 and _inode(self.descriptor) == self.inode)

    @classmethod
    def of(cls, frame: zmq.Frame, port: int) -> Peer | None:
        """Where a message came from, if libzmq says so; it has ended, unless another took its descriptor."""
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:
            return None
        with _connection(descriptor, port) as connection:
            return cls(descriptor, _inode(descriptor) if connection is not None else 0)


class Guard:
    """Watches the connections of one port. libzmq keeps the frames of a message until its last one, however many.

    Which connection a message came from libzmq says, and how much has come through it the kernel. Where it does not
    (elsewhere than on Linux) nothing is watched.

    Args:
        port: the bound port.
        maximum: bytes that may come through a connection without the end of a message.
        max_in_all: likewise, through all connections together.
        max_connections: of the port; libzmq itself takes descriptors until there are none for anything else.
    """

    def __init__(self, port: int, maximum: int, max_in_all: int, max_connections: int | None = None) -> None:
        self._port = port
        self._maximum = maximum
        self._max_in_all = max_in_all
        self._max_connections = max_connections
        self._heard: set[int] = set()
        self._known: set[Peer] = set()
        self._received: dict[Peer, int] = {}

    def heard(self, frame: zmq.Frame) -> None:
        """A whole message has come, with this frame."""
        with contextlib.suppress(zmq.ZMQError):
            self._heard.add(int(frame.get(zmq.SRCFD)))

    def check(self) -> int:
        """Cut off who sends too much, and who is too many; to be called about once a second, when what has come was
        read.

        Returns:
            how many were cut off.
        """
        before, self._received = self._received, {}
        unended: list[tuple[int, Peer]] = []
        for peer, received in _connections(self._port):
            base = received if peer.descriptor in self._heard else before.get(peer, 0)
            self._received[peer] = base
            if received > base:
                unended.append((received - base, peer))
        self._known = {peer for peer in self._received if peer in self._known or peer.descriptor in self._heard}
        self._heard.clear()
        return self._cut_long(unended) + self._cut_many()

    def _cut_long(self, unended: list[tuple[int, Peer]]) -> int:
        unended.sort()
        in_all, cut = sum(size for size, _ in unended), 0
        while unended and (unended[-1][0] > self._maximum or in_all > self._max_in_all):
            size, peer = unended.pop()
            in_all -= size
            cut += cut_off(peer.descriptor, self._port)
        return cut

    def _cut_many(self) -> int:
        """First those of whom no message was ever read, then those who came last."""
        if self._max_connections is None or len(self._received) <= self._max_connections:
            return 0
        by_merit = sorted(self._received, key=lambda peer: (peer not in self._known, peer.inode))
        return sum(cut_off(peer.descriptor, self._port) for peer in by_merit[self._max_connections :])


def cut_off(descriptor: int, port: int) -> bool:
    """End a connection that came in through ``port``; libzmq closes it then. False if it is none."""
    with _connection(descriptor, port) as connection:
        if connection is None:
            return False
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        return True


def _connections(port: int) -> Iterator[tuple[Peer, int]]:
    """Those of a port, and the bytes received."""
    if not hasattr(socket, "TCP_INFO") or not os.path.isdir("/proc/self/fd"):
        return
    for descriptor in open_descriptors():
        with _connection(descriptor, port) as connection:
            if connection is not None:
                with contextlib.suppress(OSError, struct.error):
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
                    yield Peer(descriptor, _inode(descriptor)), struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0]


@contextlib.contextmanager
def _connection(descriptor: int, port: int) -> Iterator[socket.socket | None]:
    """The TCP connection behind a descriptor, which stays libzmq's; None if it is none of this port."""
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        yield connection if _came_in_through(connection, port) else None
    finally:
        connection.detach()


def _inode(descriptor: int) -> int:
    """0 if it is closed."""
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return 0


def _came_in_through(connection: socket.socket, port: int) -> bool:
    with contextlib.suppress(OSError):
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
            return False
        return not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return False
