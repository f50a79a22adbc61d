"""Vectors of texts, or of their tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from bert_serving.server.batching.batcher import Sequence
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import EncodeResult, Job, check_size
from bert_serving.server.tasks.request import Texts
from bert_serving.server.tasks.task import Task, input_features

from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import FullTokenizer

if TYPE_CHECKING:
    from bert_serving.server.settings import Settings


class Encode(Task):
    """The one that reads texts as flags such as ``-no_special_token`` say."""

    name = "encode"
    head = None

    def __init__(self, tokenizer: FullTokenizer, settings: Settings) -> None:
        self._settings = settings
        self._inputs = InputBuilder(tokenizer, settings.max_pieces, settings.options.no_special_token)

    def prepare(self, texts: Texts) -> list[InputFeatures]:
        show_tokens = self._settings.options.show_tokens_to_client
        features = input_features(self._inputs, texts)
        return [f._replace(tokens=f.tokens if show_tokens else [], offsets=[]) for f in features]

    def job(self, count: int, dim: int, labels: list[str], options: Mapping[str, Any], limits: Limits) -> Job:
        flags = self._settings.options
        dtype = np.dtype(np.float16 if flags.fp16 else np.float32)
        if flags.pooling_strategy is PoolingStrategy.NONE:
            shape = (count, self._settings.fixed_length or 0, dim)
            return TokenVectorsJob(shape, dtype, flags.show_tokens_to_client, limits)
        check_size(count * dim * dtype.itemsize, "the vectors", limits)
        return VectorsJob(count, np.empty((count, dim), dtype), flags.show_tokens_to_client)


class VectorsJob(Job):
    """A vector a text."""

    output = "encode"
    result_is_quick = True

    def __init__(self, count: int, rows: np.ndarray | list[Any], show_tokens: bool) -> None:
        super().__init__(count, rows)
        self._tokens: list[list[str]] | None = [] if show_tokens else None

    def add(self, prepared: Collection[InputFeatures]) -> list[Sequence]:
        if self._tokens is not None:
            self._tokens += [f.tokens for f in prepared]
        return super().add(prepared)

    @staticmethod
    def read(arrays: dict[str, np.ndarray], lengths: list[int]) -> np.ndarray | list[np.ndarray]:
        """[B, D]."""
        return _checked(arrays["encode"], len(lengths), lengths)

    def result(self) -> EncodeResult:
        assert isinstance(self._rows, np.ndarray)
        return EncodeResult(self._rows, self._tokens, self.truncated)


class TokenVectorsJob(VectorsJob):
    """A vector a token; ``shape`` is the answer's [N, T, D], with T 0 where it is the longest text's."""

    result_is_quick = False

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, show_tokens: bool, limits: Limits) -> None:
        super().__init__(shape[0], [None] * shape[0], show_tokens)
        self._shape = shape
        self._dtype = dtype
        self._grows = not shape[1]
        self._limits = limits

    def add(self, prepared: Collection[InputFeatures]) -> list[Sequence]:
        count, height, dim = self._shape
        if self._grows:
            self._shape = (count, max(height, *(len(f.ids) for f in prepared)), dim)
        check_size(math.prod(self._shape) * self._dtype.itemsize, "the vectors of all tokens", self._limits)
        return super().add(prepared)

    @staticmethod
    def read(arrays: dict[str, np.ndarray], lengths: list[int]) -> list[np.ndarray]:
        """[L, D] of each sequence."""
        return np.split(_checked(arrays["encode"], sum(lengths), lengths), np.cumsum(lengths)[:-1])

    def result(self) -> EncodeResult:
        """Joins and pads the rows."""
        vectors = np.zeros(self._shape, self._dtype)
        for row, values in zip(vectors, self._rows, strict=True):
            row[: len(values)] = values
        return EncodeResult(vectors, self._tokens, self.truncated)


def _checked(vectors: np.ndarray, rows: int, lengths: list[int]) -> np.ndarray:
    if len(vectors) != rows:
        raise ValueError(f"the engine gave {len(vectors)} rows for {len(lengths)} texts")
    return vectors
