"""A checkpoint index with any shapes, written byte by byte: TensorFlow writes only those that its data have.

The layout is that of TensorFlow's tensor_bundle.proto in a LevelDB table.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT, STRING, INT64 = 1, 7, 9
_MAGIC = 0xDB4775248B80FB57


def write_index(path: Path, shapes: Mapping[str, Sequence[int]], dtype: int = FLOAT, size: int | None = None) -> None:
    """An index of one data file in which every variable begins at byte 0.

    Args:
        size: bytes that each variable is said to take; None for what its shape asks for.
    """
    rows = [(b"", _field(1, 1))]
    for name, shape in sorted(shapes.items()):
        dims = b"".join(_message(2, _field(1, dim)) for dim in shape)
        count = 4
        for dim in shape:
            count *= dim
        entry = _field(1, dtype) + _message(2, dims) + _field(5, count if size is None else size)
        rows.append((name.encode(), entry))
    table = bytearray()
    data = _append(table, _block(rows))
    meta = _append(table, _block([]))
    index = _append(table, _block([(b"\xff", data)]))
    path.write_bytes(bytes(table) + (meta + index).ljust(40, b"\0") + struct.pack("<Q", _MAGIC))


def _append(table: bytearray, block: bytes) -> bytes:
    handle = _varint(len(table)) + _varint(len(block))
    table += block + b"\0" + struct.pack("<I", _masked_crc32c(block + b"\0"))
    return handle


def _block(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_varint(0) + _varint(len(key)) + _varint(len(value)) + key + value for key, value in rows)
    return body + struct.pack("<II", 0, 1)


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value & (1 << 64) - 1)


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
