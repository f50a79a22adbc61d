"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) of large arrays, with numpy alone."""

from __future__ import annotations

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed
_LANES = 4096
_MASK_DELTA = 0xA282EAD8


def crc32c(data: np.ndarray) -> int:
    """The checksum of an array's bytes.

    The bytes are cut into lanes of one length that advance side by side; the lanes' checksums are then joined in
    pairs: that of ``a + b`` is that of a, moved on over as many zero bytes as b has, xor that of b.
    """
    whole = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    length = len(whole) // _LANES & ~3
    state = 0xFFFFFFFF
    if length:
        words = whole[: length * _LANES].view(np.uint32).reshape(_LANES, -1).T
        lanes = np.zeros(_LANES, np.uint32)
        lanes[0] = state
        tables = _tables()
        for row in np.ascontiguousarray(words):
            lanes ^= row
            lanes = (
                tables[3][lanes & 255]
                ^ tables[2][lanes >> 8 & 255]
                ^ tables[1][lanes >> 16 & 255]
                ^ tables[0][lanes >> 24]
            )
        shift = _shift(length)
        while len(lanes) > 1:
            lanes = _apply(shift, lanes[0::2]) ^ lanes[1::2]
            shift = _apply(shift, shift)
        state = int(lanes[0])
    table = _tables()[0]
    for byte in whole[length * _LANES :].tolist():
        state = state >> 8 ^ int(table[(state ^ byte) & 255])
    return state ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TensorFlow and LevelDB store it: rotated by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@cache
def _tables() -> np.ndarray:
    """uint32 [4, 256]: the state after a byte and 0 to 3 zero bytes after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ _POLYNOMIAL, table >> 1).astype(np.uint32)
    tables = [table]
    for _ in range(3):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 255])
    return np.stack(tables)


def _shift(size: int) -> np.ndarray:
    """The linear map of a state over ``size`` zero bytes: uint32 [32], the images of the single bits."""
    one_byte = np.uint32(1) << np.arange(32, dtype=np.uint32)
    one_byte = one_byte >> 8 ^ _tables()[0][one_byte & 255]
    result = np.uint32(1) << np.arange(32, dtype=np.uint32)
    while size:
        if size & 1:
            result = _apply(one_byte, result)
        one_byte = _apply(one_byte, one_byte)
        size >>= 1
    return result


def _apply(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    result = np.zeros_like(states)
    for bit in range(32):
        result ^= np.where(states >> bit & 1, matrix[bit], 0).astype(np.uint32)
    return result
