"""A model directory and the engine that runs it, in this process: what the server has in its workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.engines import engine_class
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.selection import check_engine, select
from bert_ft.errors import BertFtError
from bert_ft.hardware.choice import AUTO
from bert_ft.hardware.processor import gpu_count, usable_cores
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.decoding import BioDecoder
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import PackedBatch

_HEAD = frozenset({"head"})


class LocalModel:
    """One engine with all the processor's cores, or the first GPU.

    Args:
        precision: "fp32", "bf16", "int8" or "auto": as ``-precision`` of the server.
        engine: "auto", or as ``-engine`` of the server.
        pooling_layer: encoder layers side by side, negative ones from the top.
        do_lower_case: casing; None for what bert_ft.json says, else true.

    Attributes:
        directory: see :class:`bert_ft.checkpoint.directory.ModelDirectory`.
        tokenizer: that of the model, in its casing.
        dim: length of a vector.
        head: "classification", "tagging" or None; its ``labels`` are in id order.
        choice: the engine and the precision that were taken, and why.

    Raises:
        BertFtError: the model directory or an option cannot be used.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        precision: str = "fp32",
        engine: str = AUTO,
        pooling_strategy: PoolingStrategy = PoolingStrategy.REDUCE_MEAN,
        pooling_layer: Sequence[int] = (-1,),
        mask_cls_sep: bool = False,
        do_lower_case: bool | None = None,
    ) -> None:
        check_engine(engine, precision)
        self.directory = open_model_directory(Path(model_dir))
        gpus = gpu_count()
        self.choice = select(engine, precision, gpus > 0)
        self.tokenizer = self.directory.tokenizer(do_lower_case)
        metadata = self.directory.metadata
        options = EngineOptions(
            os.fspath(model_dir),
            pooling_strategy=pooling_strategy.name,
            pooling_layer=list(pooling_layer),
            mask_cls_sep=mask_cls_sep,
            num_labels=len(metadata.labels) if metadata else 2,
            precision=self.choice.precision,
            do_lower_case=self.tokenizer.do_lower_case,
            threads=usable_cores(),
            device=0 if gpus else None,
        )
        self._engine = engine_class(self.choice.engine).load(options)
        info: dict[str, Any] = self._engine.info()
        self.dim: int = info["dim"]
        self.head: str | None = info["head"]
        self.labels: list[str] = info["labels"]
        self._transitions = info["crf_transitions"]

    def inputs(self, max_seq_length: int | None) -> InputBuilder:
        """What makes inputs of at most so many pieces; None for the model's positions.

        Raises:
            BertFtError: it has fewer positions.
        """
        return InputBuilder(self.tokenizer, self.directory.max_pieces(max_seq_length))

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    def vectors(self, batch: PackedBatch) -> np.ndarray:
        """float32 [B, dim], or [T, dim] with pooling strategy NONE."""
        return self._engine.run(batch)["encode"]

    def head_logits(self, batch: PackedBatch) -> np.ndarray:
        """See :class:`bert_ft.inference.logits.ScoringModel`."""
        return self._engine.run(batch, _HEAD)["head"]

    def decoder(self) -> BioDecoder:
        """That of a tagging head's labels."""
        transitions = self._transitions
        return BioDecoder(self.labels, None if transitions is None else np.asarray(transitions, np.float64))

    @classmethod
    def with_head(
        cls, source: str | os.PathLike[str] | LocalModel, name: str, precision: str, engine: str
    ) -> LocalModel:
        """A model directory, opened unless it is, that has the head of this name; see :meth:`need_head`."""
        model = source if isinstance(source, LocalModel) else cls(source, precision, engine)
        model.need_head(name)
        return model

    def need_head(self, *names: str) -> str:
        """The head, which is one of some.

        Raises:
            BertFtError: it has another, none, or one of a single output.
        """
        path = self.directory.path
        if self.head is None:
            raise BertFtError(f"{path}: has no head, only an encoder; give a fine-tuned directory (bert-ft-train)")
        if self.head not in names:
            raise BertFtError(f"{path}: has a {self.head} head, not one for {' or '.join(names)}")
        if self.num_labels < 2:
            raise BertFtError(f"{path}: the head has one output, which makes no choice between labels")
        return self.head
