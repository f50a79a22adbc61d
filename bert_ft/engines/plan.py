"""What of a model directory an engine loads and what it gives out: worked out once, for all engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.head import CLASSIFICATION, CRF_TRANSITIONS, HeadKind, head_kind
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import Shapes, layer_shapes, pooler_shapes
from bert_ft.engines.base import EngineOptions
from bert_ft.errors import BertFtError
from bert_ft.pooling_strategy import PoolingStrategy

PLACES_PER_THREAD = 512
"""Of a part's padded view: measured; more leave the cache, fewer leave threads idle."""


class Plan:
    """The layers, the variables and the outputs that an engine's options ask for.

    Attributes:
        layers: encoder layers that are pooled, side by side, counted from 0 at the bottom.
        top: the highest layer that any output needs.
        above: the variables above the encoder that are needed, float32.
        by_token: outputs that have a row a token; the others have one a sequence.
        max_places: see :func:`bert_ft.engines.parts.cut_by_length`.
        dim: width of an "encode" row.

    Raises:
        BertFtError: the model directory is incomplete, or lacks what the pooling strategy needs.
    """

    def __init__(self, options: EngineOptions) -> None:
        self.directory = open_model_directory(
            options.model_dir, options.ckpt_name, options.config_name, options.tuned_model_dir
        )
        self.config = config = self.directory.config
        self.reader = CheckpointReader(self.directory.checkpoint)
        self.strategy = strategy = PoolingStrategy.parse(options.pooling_strategy)
        self.layers = strategy.layers(options.pooling_layer, config.num_hidden_layers)
        self.head = head_kind(self.directory.metadata, self.reader.shapes)
        _check_head(strategy, options.num_labels, self.head)
        self.top = max(self.layers) if self.head is None else config.num_hidden_layers - 1
        self.encoder_shapes = layer_shapes(config, self.top + 1)
        above: Shapes = pooler_shapes(config) if strategy.needs_pooler else {}
        above |= self.head.shapes(config) if self.head else {}
        self.reader.check(self.encoder_shapes | above)
        self.above = {name: self.reader.read_float32(name) for name in above}
        by_token = {"encode": strategy is PoolingStrategy.NONE, "head": self.head is not None and self.head.by_token}
        self.by_token = frozenset(name for name, wanted in by_token.items() if wanted)
        self.max_places = PLACES_PER_THREAD * options.threads
        self.dim = strategy.width(config.hidden_size * len(self.layers), len(self.head.labels) if self.head else 0)

    def info(self, **versions: str) -> dict[str, Any]:
        """What :meth:`bert_ft.engines.base.Engine.info` says, with the versions of the engine's library."""
        transitions: np.ndarray | None = self.above.get(CRF_TRANSITIONS)
        return {
            "dim": self.dim,
            **versions,
            "head": self.head.name if self.head else None,
            "labels": self.head.labels if self.head else [],
            "crf_transitions": None if transitions is None else transitions.tolist(),
        }


def _check_head(strategy: PoolingStrategy, num_labels: int, head: HeadKind | None) -> None:
    if not strategy.needs_head:
        return
    flag = f"-pooling_strategy {strategy.name}"
    if head is None or head.name != CLASSIFICATION:
        raise BertFtError(
            f"{flag}: the checkpoint has no classification head (output_weights); serve a fine-tuned directory or "
            "choose another strategy"
        )
    wanted = 1 if strategy is PoolingStrategy.REGRESSION else num_labels
    if len(head.labels) != wanted:
        raise BertFtError(
            f"{flag}: the head has {len(head.labels)} labels, not {wanted}; give -num_labels {len(head.labels)}"
        )
