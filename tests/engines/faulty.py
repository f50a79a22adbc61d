"""The default engine with faults on demand, for tests of a server with a real model."""

from __future__ import annotations

import numpy as np

from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.text.packing import PackedBatch
from tests.engines.faults import Faults


class FaultyEngine(TensorFlowEngine):
    """Keys of ``options.extra``: see :class:`Faults`."""

    def __init__(self, options: EngineOptions) -> None:
        self._faults = Faults(options.extra)
        self._faults.at_start()
        super().__init__(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> dict[str, np.ndarray]:
        self._faults.before(batch)
        return super().run(batch, outputs)
