"""The one batch: token sequences laid end to end, never padded to a common length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class InputFeatures(NamedTuple):
    """One text (or pair of texts) as the model reads it.

    Attributes:
        ids: vocabulary ids with special tokens, length L.
        segments: 0 for the first text, 1 for the second, length L.
        special: positions of the [CLS] and [SEP] tokens that were added.
        tokens: the word pieces with special tokens, length L.
        offsets: per piece the half-open character range (start, end) in the text it came from; (0, 0) for
            special tokens.
        truncated: whether pieces were cut off to keep the maximum length.
    """

    ids: list[int]
    segments: list[int]
    special: tuple[int, ...]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    truncated: bool


class PackedBatch(NamedTuple):
    """B sequences of T tokens in all; ``lengths.sum() == T``.

    Attributes:
        ids: int32 [T], vocabulary ids.
        segments: int32 [T], token types.
        positions: int32 [T], position of each token in its own sequence, from 0.
        lengths: int32 [B], tokens of each sequence, all at least 1.
        mask: float32 [T], 1 for a token that is attended to and pooled, else 0.
    """

    ids: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    mask: np.ndarray


def pack(features: Sequence[InputFeatures], mask_special: bool = False) -> PackedBatch:
    """Lay sequences end to end.

    Args:
        features: at least one sequence; none may be empty.
        mask_special: give the added [CLS] and [SEP] tokens mask 0 (bert-as-service's ``-mask_cls_sep``).
    """
    lengths = np.array([len(f.ids) for f in features], np.int32)
    ids = np.fromiter((i for f in features for i in f.ids), np.int32, lengths.sum())
    segments = np.fromiter((s for f in features for s in f.segments), np.int32, lengths.sum())
    starts = np.cumsum(lengths, dtype=np.int32) - lengths
    positions = np.arange(len(ids), dtype=np.int32) - np.repeat(starts, lengths)
    mask = np.ones(len(ids), np.float32)
    if mask_special:
        mask[[start + p for start, f in zip(starts, features, strict=True) for p in f.special]] = 0.0
    return PackedBatch(ids, segments, positions, lengths, mask)
