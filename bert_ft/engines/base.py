"""The contract between a worker and an engine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from bert_ft.checkpoint.fingerprint import ModelPlace
from bert_ft.text.packing import PackedBatch

ENCODE = frozenset({"encode"})


@dataclass(frozen=True)
class EngineOptions:
    """What an engine needs to load a model.

    Attributes:
        pooling_strategy: a name of :class:`bert_ft.pooling_strategy.PoolingStrategy`.
        pooling_layer: encoder layers to concatenate, negative ones from the top.
        mask_cls_sep: whether batches come with mask 0 at special tokens.
        num_labels: labels of a classification head.
        precision: "fp32", "bf16" or "int8"; an engine refuses what it has not.
        do_lower_case: casing of the texts, for engines that measure value ranges on some.
        calibration_texts: a file of such texts, one a line; None takes a sample.
        threads: processor threads the engine may use.
        device: GPU id, or None for the processor.
        extra: settings that only one engine knows.
        cache_dir: where an engine may keep what it makes of the model; None: beside the checkpoint.
    """

    model_dir: str
    tuned_model_dir: str | None = None
    ckpt_name: str = "bert_model.ckpt"
    config_name: str = "bert_config.json"
    pooling_strategy: str = "REDUCE_MEAN"
    pooling_layer: list[int] = field(default_factory=lambda: [-2])
    mask_cls_sep: bool = False
    no_position_embeddings: bool = False
    num_labels: int = 2
    precision: str = "fp32"
    do_lower_case: bool = True
    calibration_texts: str | None = None
    threads: int = 1
    device: int | None = None
    extra: dict[str, str] = field(default_factory=dict)
    cache_dir: str | None = None

    @property
    def place(self) -> ModelPlace:
        return ModelPlace(self.model_dir, self.ckpt_name, self.config_name, self.tuned_model_dir)

    def at(self, place: ModelPlace) -> EngineOptions:
        """The same of a model that is read from elsewhere for once; caches stay where they are."""
        cache_dir = self.cache_dir or self.tuned_model_dir or self.model_dir
        return replace(self, model_dir=place.model_dir, tuned_model_dir=place.tuned_model_dir, cache_dir=cache_dir)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EngineOptions:
        return cls(**json.loads(text))


class Engine(Protocol):
    """One loaded model in one worker process."""

    @classmethod
    def load(cls, options: EngineOptions) -> Engine:
        """Read the weights.

        Raises:
            BertFtError: the model directory lacks something; the message is for the user.
        """
        ...

    def run(self, batch: PackedBatch, outputs: frozenset[str] = ENCODE) -> dict[str, np.ndarray]:
        """One forward pass for all wanted outputs.

        Args:
            outputs: "encode" and "head", or one of them; "head" only if there is one.

        Returns:
            "encode": float32 [B, dim], or [T, dim] with pooling strategy NONE; "head": logits, float32 [B, C] of a
            classification head, [T, L] of a tagging head.
        """
        ...

    def info(self) -> dict[str, Any]:
        """At least ``dim`` (int), ``tensorflow_version`` (str), ``head`` ("classification", "tagging" or None), its
        ``labels`` in id order, and ``crf_transitions`` (nested lists [L, L], or None)."""
        ...
