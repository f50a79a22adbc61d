"""The default engine: the packed encoder of bert_ft, one concrete function over captured weights."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bert_ft.engines.base import ENCODE, EngineOptions
from bert_ft.engines.parts import Results, run_in_parts
from bert_ft.engines.plan import Plan
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf, use_machine
from bert_ft.model.captured import DTYPES, CapturedEncoder
from bert_ft.model.heads import head_of
from bert_ft.model.pooling import TokenTensors, pooled_output
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.pooling_strategy import PoolingStrategy, pool_tokens
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
        self._plan = plan = Plan(options)
        self._head = None if plan.head is None else head_of(plan.head)
        self._encoder = CapturedEncoder(
            plan.reader.read_float32,
            plan.config,
            plan.top + 1,
            options.precision,
            with_positions=not options.no_position_embeddings,
        )
        self._above = {name: tf.constant(values) for name, values in plan.above.items()}
        self._callers = ThreadPoolExecutor(CALLERS)
        self._functions: dict[frozenset[str], Any] = {}

    @classmethod
    def load(cls, options: EngineOptions) -> TensorFlowEngine:
        use_machine(options.threads, CALLERS, gpu=options.device is not None)
        return cls(options)

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> Results:
        """As :meth:`bert_ft.engines.base.Engine.run`; long batches go through in parts of like length."""
        function = self.graph_function(outputs)

        def run_part(part: PackedBatch) -> Results:
            results = function(*(tf.convert_to_tensor(array) for array in part))
            return {name: tensor.numpy() for name, tensor in results.items()}

        def run(parts: list[PackedBatch]) -> Iterable[Results]:
            return self._callers.map(run_part, parts) if len(parts) > 1 else map(run_part, parts)

        return run_in_parts(batch, self._plan.max_places, self._plan.by_token, run)

    def info(self) -> dict[str, Any]:
        return self._plan.info(tensorflow_version=tf.__version__)

    def graph_function(self, outputs: frozenset[str] = ENCODE) -> Any:
        """The concrete function that is run for these outputs, traced when first asked for.

        Its graph is as it was before TensorFlow's own optimisation.
        """
        if outputs not in self._functions:
            traced = tf.function(lambda *arrays: self._forward(PackedTensors(*arrays), outputs), autograph=False)
            self._functions[outputs] = traced.get_concrete_function(*packed_signature())
        return self._functions[outputs]

    def _forward(self, batch: PackedTensors, outputs: frozenset[str]) -> dict[str, Any]:
        layers = set(self._plan.layers) if "encode" in outputs else set()
        hidden = self._encoder(batch, sorted(layers | ({self._plan.top} if "head" in outputs else set())))
        results = {}
        if "head" in outputs:
            results["head"] = self._logits(hidden, batch)
        if "encode" in outputs:
            results["encode"] = self._pool(hidden, batch)
        return results

    def _logits(self, hidden: dict[int, Any], batch: PackedTensors) -> Any:
        assert self._head is not None
        return self._head.logits(self._above, hidden[self._plan.top], batch, None)

    def _pool(self, hidden: dict[int, Any], batch: PackedTensors) -> Any:
        strategy = self._plan.strategy
        if strategy is PoolingStrategy.CLS_POOLED:
            return pooled_output(hidden[self._plan.top], batch, self._above)
        if strategy.needs_head:
            logits = self._logits(hidden, batch)
            return tf.sigmoid(logits) if strategy is PoolingStrategy.REGRESSION else tf.nn.softmax(logits)
        chosen = tf.concat([hidden[layer] for layer in self._plan.layers], axis=-1)
        return pool_tokens(chosen, TokenTensors(batch), strategy)
