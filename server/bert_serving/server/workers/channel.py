"""Messages between the server and one worker: a JSON header and raw arrays over a socket pair. No pickle."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

Message = tuple[dict[str, Any], list[np.ndarray]]
"""Header and arrays."""

_PREFIX = struct.Struct("!I")
SMALL_BYTES = 64 << 10
"""A message that surely fits into the buffer of an idle socket."""


class Channel:
    """One end of a socket pair; blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, header: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
        """Raises OSError if the other end is gone."""
        arrays = [np.ascontiguousarray(array) for array in arrays]
        shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
        text = json.dumps({**header, "arrays": shapes}).encode("utf-8")
        parts: list[bytes | memoryview[int]] = [_PREFIX.pack(len(text)), text]
        parts += [memoryview(array.data).cast("B") for array in arrays if array.size]
        if sum(map(len, parts)) <= SMALL_BYTES:
            # in one piece: the other end is woken once
            self._socket.sendall(b"".join(parts))
        else:
            for part in parts:
                self._socket.sendall(part)

    def receive(self) -> Message:
        """Wait for a message; raises EOFError if the other end is gone."""
        header = json.loads(self._exactly(*_PREFIX.unpack(self._exactly(_PREFIX.size))))
        arrays = []
        for dtype, shape in header.pop("arrays"):
            array = np.empty(shape, np.dtype(dtype))
            if array.size:
                self._fill(memoryview(array.data).cast("B"))
            arrays.append(array)
        return header, arrays

    def close(self) -> None:
        """The other end, and who waits here, sees it at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        self._fill(memoryview(buffer))
        return bytes(buffer)

    def _fill(self, view: memoryview) -> None:
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError as error:
                raise EOFError("the other end of the channel is gone") from error
            if not count:
                raise EOFError("the other end of the channel is gone")
            view = view[count:]
