"""The engine on OpenVINO: the same packed encoder, in float32, bfloat16 or int8. Imports no TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov

from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.engines.numpy_outputs import TokenArrays, head_logits, pooled_output, probabilities
from bert_ft.engines.openvino.core import core, has_bfloat16
from bert_ft.engines.openvino.graph import encoder_graph, part_of
from bert_ft.engines.openvino.inputs import graph_inputs
from bert_ft.engines.openvino.int8 import int8_graph
from bert_ft.engines.parts import Results, run_in_parts
from bert_ft.engines.plan import Plan
from bert_ft.hardware.processor import this_processor
from bert_ft.pooling_strategy import PoolingStrategy, pool_tokens
from bert_ft.text.packing import PackedBatch


class OpenvinoEngine:
    """Runs the layers that the wanted outputs need on OpenVINO's processor plugin; pools and classifies in numpy.

    Args:
        options: what to load and how to pool; see :class:`EngineOptions`.

    Raises:
        BertFtError: the model directory is incomplete, or lacks what the pooling strategy needs.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._plan = plan = Plan(options)
        if options.precision == "int8":
            graph = int8_graph(options, plan.directory)
        else:
            weights = plan.reader.load(plan.encoder_shapes)
            with_positions = not options.no_position_embeddings
            graph = encoder_graph(weights, plan.config, with_positions, not this_processor().has_avx512)
        self._wanted = sorted(set(plan.layers))
        pooled = self._wanted[-1]
        self._lower = _compiled(part_of(graph, self._wanted), options)
        self._upper = None if pooled == plan.top else _compiled(part_of(graph, [plan.top], after=pooled), options)

    @classmethod
    def load(cls, options: EngineOptions) -> OpenvinoEngine:
        return cls(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> Results:
        """As :meth:`bert_ft.engines.base.Engine.run`; long batches go through in parts of like length."""

        def run_part(part: PackedBatch) -> Results:
            return self._run_part(part, outputs)

        return run_in_parts(batch, self._plan.max_places, self._plan.by_token, lambda parts: map(run_part, parts))

    def info(self) -> dict[str, Any]:
        return self._plan.info(tensorflow_version="none", openvino_version=ov.__version__)

    def _run_part(self, batch: PackedBatch, outputs: frozenset[str]) -> Results:
        inputs = graph_inputs(batch)
        layers = dict(zip(self._wanted, _infer(self._lower, inputs), strict=True))
        results = {}
        if "encode" in outputs:
            results["encode"] = self._pool(layers, batch)
        if "head" in outputs:
            hidden = layers[self._wanted[-1]]
            if self._upper is not None:
                (hidden,) = _infer(self._upper, [hidden, *inputs[3:]])
            results["head"] = self._logits(hidden, batch)
        return results

    def _pool(self, layers: dict[int, np.ndarray], batch: PackedBatch) -> np.ndarray:
        chosen, strategy = [layers[layer] for layer in self._plan.layers], self._plan.strategy
        if strategy is PoolingStrategy.CLS_POOLED:
            return self._pooled_output(chosen[0], batch)
        if strategy.needs_head:
            return probabilities(self._logits(chosen[0], batch), strategy)
        hidden = chosen[0] if len(chosen) == 1 else np.concatenate(chosen, axis=-1)
        return pool_tokens(hidden, TokenArrays(batch), strategy)

    def _logits(self, last_layer: np.ndarray, batch: PackedBatch) -> np.ndarray:
        assert self._plan.head is not None
        rows = last_layer if self._plan.head.by_token else self._pooled_output(last_layer, batch)
        return head_logits(rows, self._plan.above)

    def _pooled_output(self, last_layer: np.ndarray, batch: PackedBatch) -> np.ndarray:
        return pooled_output(TokenArrays(batch).take(last_layer), self._plan.above)


def _infer(request: ov.InferRequest, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The results are the request's own memory: they hold until it is run again."""
    return list(request.infer(inputs, share_inputs=True, share_outputs=True).values())


def _compiled(part: ov.Model, options: EngineOptions) -> ov.InferRequest:
    bfloat16 = options.precision != "fp32" and has_bfloat16()
    settings = {
        # for int8: of what is left in floating point
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": options.threads,
        # otherwise the workers of a server all sit on the same cores
        "ENABLE_CPU_PINNING": False,
        # of prepared operations, by shape: the default of 5000 takes gigabytes once texts of all lengths were seen
        "CPU_RUNTIME_CACHE_CAPACITY": 100,
    }
    return core().compile_model(part, "CPU", settings).create_infer_request()
