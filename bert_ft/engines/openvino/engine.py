"""The engine on OpenVINO: the same packed encoder, in float32, bfloat16 or int8. Imports no TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.head import CLASSIFICATION, CRF_TRANSITIONS, HeadKind, head_kind
from bert_ft.checkpoint.reader import PlainCheckpoint
from bert_ft.checkpoint.variables import Shapes, layer_shapes, pooler_shapes
from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.engines.numpy_outputs import first_tokens, head_logits, pool_tokens, pooled_output, probabilities
from bert_ft.engines.openvino.core import core, has_bfloat16
from bert_ft.engines.openvino.graph import encoder_graph, part_of
from bert_ft.engines.openvino.inputs import graph_inputs
from bert_ft.engines.openvino.int8 import int8_graph
from bert_ft.engines.parts import PLACES_PER_THREAD, Results, outputs_by_token, run_in_parts
from bert_ft.engines.plan import check_head
from bert_ft.hardware.processor import this_processor
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import PackedBatch


class OpenvinoEngine:
    """Runs the layers that the wanted outputs need on OpenVINO's processor plugin; pools and classifies in numpy.

    Args:
        options: what to load and how to pool; see :class:`EngineOptions`.

    Raises:
        BertFtError: the model directory is incomplete, or lacks what the pooling strategy needs.
    """

    def __init__(self, options: EngineOptions) -> None:
        directory = open_model_directory(
            options.model_dir, options.ckpt_name, options.config_name, options.tuned_model_dir
        )
        config = directory.config
        checkpoint = PlainCheckpoint(directory.checkpoint)
        self._strategy = PoolingStrategy.parse(options.pooling_strategy)
        self._layers = self._strategy.layers(options.pooling_layer, config.num_hidden_layers)
        self._head = head_kind(directory.metadata, checkpoint.shapes)
        check_head(options, self._head)
        self._by_token = outputs_by_token(self._strategy, self._head.name if self._head else None)
        self._most_places = PLACES_PER_THREAD * options.threads
        top = max(self._layers)
        last = top if self._head is None else config.num_hidden_layers - 1
        self._above = checkpoint.load(self._shapes_above(config))
        if options.precision == "int8":
            graph = int8_graph(options, directory)
        else:
            weights = checkpoint.load(layer_shapes(config, last + 1))
            graph = encoder_graph(weights, config, not options.no_position_embeddings, not this_processor().has_avx512)
        self._wanted = sorted(set(self._layers))
        self._lower = _compiled(part_of(graph, self._wanted), options)
        self._upper = None if last == top else _compiled(part_of(graph, [last], after=top), options)
        self._dim = self._width(config)

    @classmethod
    def load(cls, options: EngineOptions) -> OpenvinoEngine:
        return cls(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> Results:
        """As :meth:`bert_ft.engines.base.Engine.run`; long batches go through in parts of like length."""

        def run_part(part: PackedBatch) -> Results:
            return self._run_part(part, outputs)

        return run_in_parts(batch, self._most_places, self._by_token, lambda parts: map(run_part, parts))

    def info(self) -> dict[str, Any]:
        transitions = self._above.get(CRF_TRANSITIONS)
        return {
            "dim": self._dim,
            "tensorflow_version": "none",
            "openvino_version": ov.__version__,
            "head": self._head.name if self._head else None,
            "labels": self._head.labels if self._head else [],
            "crf_transitions": None if transitions is None else transitions.tolist(),
        }

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
        chosen = [layers[layer] for layer in self._layers]
        if self._strategy is PoolingStrategy.CLS_POOLED:
            return pooled_output(chosen[0][first_tokens(batch)], self._above)
        if self._strategy.needs_head:
            return probabilities(self._logits(chosen[0], batch), self._strategy)
        return pool_tokens(chosen[0] if len(chosen) == 1 else np.concatenate(chosen, axis=-1), batch, self._strategy)

    def _logits(self, last_layer: np.ndarray, batch: PackedBatch) -> np.ndarray:
        if self._is_classifier():
            last_layer = pooled_output(last_layer[first_tokens(batch)], self._above)
        return head_logits(last_layer, self._above)

    def _is_classifier(self) -> bool:
        return self._head is not None and self._head.name == CLASSIFICATION

    def _shapes_above(self, config: BertConfig) -> Shapes:
        """Pooler and head, as far as they are needed."""
        shapes: Shapes = {}
        if self._strategy.needs_pooler or self._is_classifier():
            shapes |= pooler_shapes(config)
        if self._head is not None:
            shapes |= _head_shapes(self._head, config)
        return shapes

    def _width(self, config: BertConfig) -> int:
        if self._strategy.needs_head:
            assert self._head is not None
            return len(self._head.labels)
        return config.hidden_size * len(self._layers) * (1 + (self._strategy is PoolingStrategy.REDUCE_MEAN_MAX))


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


def _head_shapes(head: HeadKind, config: BertConfig) -> Shapes:
    labels = len(head.labels)
    shapes: Shapes = {"output_weights": (labels, config.hidden_size), "output_bias": (labels,)}
    return shapes | ({CRF_TRANSITIONS: (labels, labels)} if head.crf else {})
