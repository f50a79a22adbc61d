"""An engine without a model: its outputs are formulas of the token ids. For tests of everything around an engine."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.errors import BertFtError
from bert_ft.text.packing import PackedBatch
from tests.engines.faults import Faults

DUMMY = f"{__name__}:DummyEngine"
"""As -engine takes it."""
DIM = 8
HEAD_LABELS = {
    "tagging": "O,B-name,I-name,B-place,I-place",
    "classification": "negative,neutral,positive",
}


class DummyEngine:
    """Component k of a token's vector is ``sin(id * (k + 1) + position)``; a text's vector is their masked mean.

    With ``head`` (a key of :data:`HEAD_LABELS`) in ``options.extra`` it has a head whose labels are those, or
    ``labels``, parted by commas. A tagging head gives label ``id % L`` of a token the logit 5 and the others 0; a
    classification head's logit of class c is the number of a text's tokens with ``id % C == c``.

    So that models can be told apart, one is the number that the checkpoint's index holds as text (else 0), added to
    each component, and the hidden_size of its configuration (else :data:`DIM`).

    One whose number is ``fail_on_model`` does not load. Further keys inject faults: see
    :class:`tests.engines.faults.Faults`.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._dim, self._shift = _model(options)
        if f"{self._shift:g}" == options.extra.get("fail_on_model"):
            raise BertFtError(f"model {self._shift:g} is broken")
        self._token_level = options.pooling_strategy == "NONE"
        self._faults = Faults(options.extra)
        self._head = options.extra.get("head")
        self._labels = options.extra.get("labels", HEAD_LABELS[self._head]).split(",") if self._head else []

    @classmethod
    def load(cls, options: EngineOptions) -> DummyEngine:
        Faults(options.extra).at_start()
        return cls(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> dict[str, np.ndarray]:
        self._faults.before(batch)
        results = {}
        if "encode" in outputs:
            results["encode"] = self._vectors(batch)
        if "head" in outputs:
            results["head"] = self._logits(batch)
        return results

    def info(self) -> dict[str, Any]:
        head = {"head": self._head, "labels": self._labels, "crf_transitions": None}
        return {"dim": self._dim, "tensorflow_version": "none", **head}

    def _vectors(self, batch: PackedBatch) -> np.ndarray:
        angles = np.outer(batch.ids, np.arange(1, self._dim + 1)) + batch.positions[:, None]
        tokens = (np.sin(angles).astype(np.float32) + self._shift) * batch.mask[:, None]
        if self._token_level:
            return tokens
        starts = np.cumsum(batch.lengths) - batch.lengths
        counts = np.add.reduceat(batch.mask, starts)
        return np.add.reduceat(tokens, starts) / np.maximum(counts, 1.0)[:, None]

    def _logits(self, batch: PackedBatch) -> np.ndarray:
        hits = np.eye(len(self._labels), dtype=np.float32)[batch.ids % len(self._labels)]
        if self._head == "tagging":
            return 5 * hits
        return np.add.reduceat(hits * batch.mask[:, None], np.cumsum(batch.lengths) - batch.lengths)


def _model(options: EngineOptions) -> tuple[int, np.float32]:
    dim, shift = DIM, np.float32(0)
    with contextlib.suppress(OSError, ValueError):
        dim = json.loads(Path(options.model_dir, options.config_name).read_text())["hidden_size"]
        index = Path(options.tuned_model_dir or options.model_dir, f"{options.ckpt_name}.index")
        shift = np.float32(index.read_text())
    return dim, shift
