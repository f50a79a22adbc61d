"""ZMTP 3.0 by hand: what a peer can send that libzmq's sockets never would."""

from __future__ import annotations

import socket
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def connect(port: int, kind: bytes) -> socket.socket:
    """A connection past its handshake, as a socket of type ``kind``."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
    peer.sendall(GREETING)
    _exactly(peer, 64)
    properties = _property(b"Socket-Type", kind) + _property(b"Identity", b"")
    ready = b"\x05READY" + properties
    peer.sendall(bytes([4, len(ready)]) + ready)
    _flags, size = _exactly(peer, 2)
    _exactly(peer, size)
    return peer


def message(*frames: bytes) -> bytes:
    """The bytes of one message of frames below 256 bytes."""
    last = len(frames) - 1
    return b"".join(bytes([place < last, len(frame)]) + frame for place, frame in enumerate(frames))


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack("!I", len(value)) + value


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise ConnectionError("the server hung up")
        data += more
    return data
