"""From a head's logits to what the server's process gets: done in the worker, so that the loop only moves arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bert_serving.server.workers.messages import entity_types

from bert_ft.text.decoding import BioDecoder

HeadReader = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""Takes logits, the packed rows of first pieces and their count in each sequence; gives arrays by name."""


def head_reader(info: dict[str, Any]) -> HeadReader | None:
    """The reader for an engine's head; None without one."""
    if info.get("head") == "classification":
        return read_classes
    if info.get("head") == "tagging":
        return TagReader(info["labels"], info.get("crf_transitions"))
    return None


def read_classes(logits: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Softmax probabilities, float64 [B, C]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return {"head": powers / powers.sum(axis=-1, keepdims=True)}


class TagReader:
    """Decodes the units of each sequence to spans.

    Args:
        labels: BIO tags in id order.
        transitions: a CRF's scores [L, L], or None.
    """

    def __init__(self, labels: Sequence[str], transitions: Any) -> None:
        self._decoder = BioDecoder(labels, None if transitions is None else np.asarray(transitions, np.float64))
        self._types = {name: number for number, name in enumerate(entity_types(labels))}

    def __call__(self, logits: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        tagged = np.flatnonzero(counts)
        decoded = self._decoder.decode(logits[firsts], counts[tagged])
        found = [
            (place, span.first, span.end, self._types[span.type], span.score)
            for place, spans in zip(tagged.tolist(), decoded, strict=True)
            for span in spans
        ]
        return {
            "spans": np.array([row[:4] for row in found], np.int32).reshape(-1, 4),
            "scores": np.array([row[4] for row in found], np.float64),
        }
