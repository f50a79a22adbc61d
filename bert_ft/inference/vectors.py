"""Vectors of texts, as the server gives them, without a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_ft.hardware.choice import AUTO
from bert_ft.inference.local_model import LocalModel
from bert_ft.inference.logits import by_length
from bert_ft.logs import Progress
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import InputFeatures, PackedBatch

logger = logging.getLogger(__name__)


class Encoder:
    """Texts to vectors; ``bert-serving-start`` with the same settings gives the same ones.

    Args:
        model_dir: a model directory, fine-tuned or Google's own.
        pooling_strategy: how token vectors become one: a name of the server's; NONE gives those of the tokens.
        pooling_layer: encoder layers side by side, negative ones from the top.
        max_seq_length: most pieces of a text, special tokens included; longer ones are cut, and it is logged how many.
            None for the model's positions.
        do_lower_case: casing; None for what bert_ft.json says, else true.
        mask_cls_sep: leave [CLS] and [SEP] out of attention and pooling.
        precision, engine: as the server's flags of these names.
        batch_size: texts that go through the model at once.

    Raises:
        BertFtError: the model directory or an option cannot be used.

    Example:
        >>> encoder = Encoder(model_dir)
        >>> encoder.encode(["今天很高兴", "it rains"]).shape
        (2, 128)
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        pooling_strategy: PoolingStrategy | str = PoolingStrategy.REDUCE_MEAN,
        pooling_layer: Sequence[int] = (-2,),
        max_seq_length: int | None = None,
        do_lower_case: bool | None = None,
        mask_cls_sep: bool = False,
        precision: str = "fp32",
        engine: str = AUTO,
        batch_size: int = 64,
    ) -> None:
        if isinstance(pooling_strategy, str):
            pooling_strategy = PoolingStrategy.parse(pooling_strategy)
        self._by_token = pooling_strategy is PoolingStrategy.NONE
        self._height = max_seq_length
        self._mask_cls_sep = mask_cls_sep
        self._batch_size = batch_size
        self.model = LocalModel(
            model_dir, precision, engine, pooling_strategy, pooling_layer, mask_cls_sep, do_lower_case
        )
        self._inputs = self.model.inputs(max_seq_length)

    def encode(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        progress: Progress | None = None,
        split_pairs: bool = True,
    ) -> np.ndarray:
        """float32 [len(texts), dim]; with NONE [len(texts), pieces, dim], zeros after the end of each text.

        Args:
            texts: strings, or lists of tokens.
            split_pairs: ``" ||| "`` in a string parts a pair, as it does for the server.
        """
        features = self._features(texts, split_pairs)
        if cut := sum(one.truncated for one in features):
            logger.warning("%d texts were cut to %d pieces", cut, self._inputs.max_seq_length)
        rows = by_length(features, self._batch_size, self._run, self._mask_cls_sep, progress)
        if not self._by_token:
            return np.stack(rows) if rows else np.empty((0, self.model.dim), np.float32)
        vectors = np.zeros((len(rows), self._height or max(map(len, rows), default=0), self.model.dim), np.float32)
        for place, row in zip(vectors, rows, strict=True):
            place[: len(row)] = row
        return vectors

    def _features(self, texts: Any, split_pairs: bool) -> list[InputFeatures]:
        if len(texts) and not isinstance(texts[0], str):
            return self._inputs.tokenized(texts)
        return self._inputs.texts(texts) if split_pairs else self._inputs.pairs([(text, None) for text in texts])

    def _run(self, batch: PackedBatch) -> list[np.ndarray]:
        vectors = self.model.vectors(batch)
        return np.split(vectors, np.cumsum(batch.lengths)[:-1]) if self._by_token else list(vectors)
