"""The default engine: the packed encoder of bert_ft, one concrete function over captured weights."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.head import CRF_TRANSITIONS, head_kind
from bert_ft.checkpoint.variables import Shapes, layer_shapes, pooler_shapes
from bert_ft.checkpoint.writer import CheckpointReader
from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.engines.parts import PLACES_PER_THREAD, Results, outputs_by_token, run_in_parts
from bert_ft.engines.plan import check_head
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf, use_threads
from bert_ft.model.captured import DTYPES, CapturedEncoder
from bert_ft.model.heads import stored_head
from bert_ft.model.pooling import pool_tokens, pooled_output
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import PackedBatch

CALLERS = 2
"""Parts of a batch under way at once: while one waits for a thread that is late, the other has work for the rest."""


class TensorFlowEngine:
    """Runs packed batches through the layers that the wanted outputs need, and no further.

    Args:
        options: what to load and how to pool; see :class:`EngineOptions`.

    Raises:
        BertFtError: the model directory is incomplete, or lacks what the pooling strategy needs.
    """

    def __init__(self, options: EngineOptions) -> None:
        if options.precision not in DTYPES:
            raise BertFtError(f"-precision {options.precision}: the tensorflow engine has {' and '.join(DTYPES)}")
        directory = open_model_directory(
            options.model_dir, options.ckpt_name, options.config_name, options.tuned_model_dir
        )
        config = directory.config
        self._options = options
        self._config = config
        self._strategy = PoolingStrategy.parse(options.pooling_strategy)
        self._layers = self._strategy.layers(options.pooling_layer, config.num_hidden_layers)
        reader = CheckpointReader(directory.checkpoint)
        self._head, self._labels = stored_head(directory.metadata, reader.shapes)
        check_head(options, head_kind(directory.metadata, reader.shapes))
        depth = max(self._layers) + 1 if self._head is None else config.num_hidden_layers
        above: Shapes = {}
        if self._head is not None or self._strategy.needs_pooler:
            above |= pooler_shapes(config)
        if self._head is not None:
            above |= self._head.shapes(config)
        reader.check(layer_shapes(config, depth) | above)
        self._encoder = CapturedEncoder(
            reader.read_float32, config, depth, options.precision, with_positions=not options.no_position_embeddings
        )
        self._top = depth - 1
        self._above = {name: tf.constant(reader.read_float32(name)) for name in above}
        self._by_token = outputs_by_token(self._strategy, self._head.name if self._head else None)
        self._most_places = PLACES_PER_THREAD * options.threads
        self._callers = ThreadPoolExecutor(CALLERS)
        self._functions: dict[frozenset[str], Any] = {}
        self._dim = int(self._function(ENCODE).structured_outputs["encode"].shape[-1])

    @classmethod
    def load(cls, options: EngineOptions) -> TensorFlowEngine:
        if options.device is None:
            tf.config.set_visible_devices([], "GPU")
        use_threads(options.threads, CALLERS)
        return cls(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> Results:
        """As :meth:`bert_ft.engines.base.Engine.run`; long batches go through in parts of like length."""
        function = self._function(outputs)

        def run_part(part: PackedBatch) -> Results:
            results = function(*(tf.convert_to_tensor(array) for array in part))
            return {name: tensor.numpy() for name, tensor in results.items()}

        def run(parts: list[PackedBatch]) -> Iterable[Results]:
            return self._callers.map(run_part, parts) if len(parts) > 1 else map(run_part, parts)

        return run_in_parts(batch, self._most_places, self._by_token, run)

    def graph_function(self, outputs: frozenset[str] = ENCODE) -> Any:
        """The concrete function that is run; its graph is as it was before TensorFlow's own optimisation."""
        return self._function(outputs)

    def info(self) -> dict[str, Any]:
        transitions = self._above.get(CRF_TRANSITIONS)
        return {
            "dim": self._dim,
            "tensorflow_version": tf.__version__,
            "head": self._head.name if self._head else None,
            "labels": self._labels,
            "crf_transitions": None if transitions is None else transitions.numpy().tolist(),
        }

    def _function(self, outputs: frozenset[str]) -> Any:
        """The concrete function for these outputs, traced when first asked for."""
        if outputs not in self._functions:
            traced = tf.function(lambda *arrays: self._forward(PackedTensors(*arrays), outputs), autograph=False)
            self._functions[outputs] = traced.get_concrete_function(*packed_signature())
        return self._functions[outputs]

    def _forward(self, batch: PackedTensors, outputs: frozenset[str]) -> dict[str, Any]:
        wanted = {self._top} if "head" in outputs else set()
        hidden = self._encoder(batch, sorted(wanted | (set(self._layers) if "encode" in outputs else set())))
        results = {}
        if "head" in outputs:
            assert self._head is not None
            results["head"] = self._head.logits(self._above, hidden[self._top], batch, None)
        if "encode" in outputs:
            results["encode"] = self._pool(hidden, batch)
        return results

    def _pool(self, hidden: dict[int, Any], batch: PackedTensors) -> Any:
        if self._strategy is PoolingStrategy.CLS_POOLED:
            return pooled_output(hidden[self._top], batch, self._above)
        if self._strategy.needs_head:
            assert self._head is not None
            logits = self._head.logits(self._above, hidden[self._top], batch, None)
            return tf.sigmoid(logits) if self._strategy is PoolingStrategy.REGRESSION else tf.nn.softmax(logits)
        chosen = tf.concat([hidden[layer] for layer in self._layers], axis=-1)
        return pool_tokens(chosen, batch, self._strategy)
