"""The index of a TensorFlow checkpoint, read without TensorFlow, which aborts the process on impossible shapes.

A LevelDB table (blocks of keys and values with shared prefixes, a block that lists them, a footer) whose values are the
messages of TensorFlow's tensor_bundle.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_MASK_DELTA = 0xA282EAD8
_MAX_DIMS = 8
_MAX_VALUES = 1 << 40
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CHECKSUM, _SLICES = range(1, 8)
_DIM, _DIM_SIZE, _UNKNOWN_RANK = 2, 1, 3


class IndexEntry(NamedTuple):
    """Where a variable's values stand.

    Attributes:
        dtype: number of TensorFlow's DataType.
        shard: number of the data file.
        offset, size: bytes in that file.
        checksum: masked CRC-32C of those bytes.
        sliced: stored in parts, under entries of their own.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def read_index(path: Path) -> dict[str, IndexEntry]:
    """The variables of an index by name.

    Raises:
        BertFtError: it is damaged, or names the first variable with an impossible shape.
    """
    try:
        data = read_small(path)
        if len(data) < _FOOTER or not data.endswith(_MAGIC):
            raise ValueError("no table")
        _, _, at = _handle(data, len(data) - _FOOTER)
        start, size, _ = _handle(data, at)
        entries = {}
        for _, handle in _entries(_block(data, start, size)):
            start, size, _ = _handle(handle, 0)
            for key, value in _entries(_block(data, start, size)):
                if key and not key.startswith(b"\0"):  # the header, and the slices of a variable
                    name = key.decode("utf-8", "replace")
                    entries[name] = _index_entry(value)
                    _check_shape(path, name, entries[name].shape)
    except (ValueError, IndexError) as error:
        raise BertFtError(f"{path}: not a readable TensorFlow checkpoint ({error}); copy it again") from None
    return entries


def _index_entry(value: bytes) -> IndexEntry:
    numbers = dict.fromkeys((_DTYPE, _SHARD, _OFFSET, _SIZE), 0)
    checksum, sliced = 0, False
    for number, field in _fields(value):
        if number in numbers and isinstance(field, int):
            numbers[number] = field
        elif number == _CHECKSUM and isinstance(field, bytes):
            checksum = int.from_bytes(field, "little")
        elif number == _SLICES:
            sliced = True
    return IndexEntry(
        numbers[_DTYPE], tuple(_shape(value)), numbers[_SHARD], numbers[_OFFSET], numbers[_SIZE], checksum, sliced
    )


def _check_shape(path: Path, name: str, shape: tuple[int, ...]) -> None:
    if len(shape) > _MAX_DIMS or any(size < 0 for size in shape) or math.prod(shape) > _MAX_VALUES:
        raise BertFtError(f"{path}: variable {name[:200]} has the impossible shape {list(shape[:_MAX_DIMS])}")


def _shape(entry: bytes) -> list[int]:
    sizes: list[int] = []
    for number, message in _fields(entry):
        if number != _SHAPE or not isinstance(message, bytes):
            continue
        for part, value in _fields(message):
            if part == _DIM and isinstance(value, bytes):
                size = dict(_fields(value)).get(_DIM_SIZE, 0)
                if not isinstance(size, int):
                    raise ValueError("a size that is no number")
                sizes.append(size - (1 << 64) if size >> 63 else size)
            elif part == _UNKNOWN_RANK:
                raise ValueError("a variable without a shape")
    return sizes


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            value, at = _slice(message, at, size), at + size
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
            value, at = _slice(message, at, size), at + size
        else:
            raise ValueError("a message that cannot be read")
        yield key >> 3, value


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4 - 4 * int.from_bytes(_slice(block, len(block) - 4, 4), "little")
    if end < 0:
        raise ValueError("a block that is cut off")
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        size, at = _varint(block, at)
        key = _slice(key, 0, shared) + _slice(block, at, fresh)
        yield key, _slice(block, at + fresh, size)
        at += fresh + size


def _block(data: bytes, start: int, size: int) -> bytes:
    if _slice(data, start + size, 1) != b"\0":
        raise ValueError("a compressed block")
    checksum = int.from_bytes(_slice(data, start + size + 1, 4), "little")
    if masked(google_crc32c.value(_slice(data, start, size + 1))) != checksum:
        raise ValueError("a damaged block")
    return _slice(data, start, size)


def masked(checksum: int) -> int:
    """A CRC-32C as TensorFlow and LevelDB store it: rotated by 15 bits, plus a constant."""
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return start, size, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number that is too long")


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start < 0 or start + size > len(data):
        raise ValueError("it is cut off")
    return data[start : start + size]
