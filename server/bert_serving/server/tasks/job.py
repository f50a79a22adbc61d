"""Requests at work: their sequences, what comes back of them, the answer. One class a task."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence as Collection
from typing import Any, ClassVar, NamedTuple

import numpy as np
from bert_serving.client.wire import json_bytes
from bert_serving.server.batching.batcher import Sequence
from bert_serving.server.limits import DEFAULT
from bert_serving.server.models.model_info import ModelInfo
from bert_serving.server.settings import Settings
from bert_serving.server.tasks.request import RequestError, TaskRequest
from bert_serving.server.workers.messages import BatchResult, Spans, entity_types

from bert_ft.text.decoding import UnitSpan
from bert_ft.text.entities import entities_of, tags_of
from bert_ft.text.packing import InputFeatures
from bert_ft.text.windows import WindowedText, merge_spans

MAX_REPLY_BYTES = DEFAULT.max_reply_bytes


class EncodeResult(NamedTuple):
    """The answer to an encode request.

    Attributes:
        vectors: [N, D], or [N, T, D] with pooling strategy NONE; float32 or float16.
        tokens: word pieces of each text with special tokens, or None if the server does not show them.
        truncated: indices of the texts that were cut.
        model: the fingerprint of the model that made it.
    """

    vectors: np.ndarray
    tokens: list[list[str]] | None
    truncated: list[int]
    model: str = ""


class JsonResult(NamedTuple):
    """The answer to a tag or classify request.

    Attributes:
        body: JSON, a list with one element a text.
        truncated: indices of the texts that were cut.
        model: the fingerprint of the model that made it.
    """

    task: str
    body: bytes
    truncated: list[int]
    model: str = ""


class Job(ABC):
    """One request. ``add`` its texts in order, ``put`` what workers find, await ``finished``, ask for ``result``.

    Attributes:
        done: answered, or answered with an error; its sequences need no worker any more.
        outstanding: sequences that were handed on and have not come back.
        finished: resolves when everything is there; raises :class:`RequestError` if it cannot be had.
        result_is_quick: whether ``result`` may be called on the loop.
    """

    output: ClassVar[str]
    result_is_quick: bool = False

    def __init__(self, count: int) -> None:
        self.done = False
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.truncated: list[int] = []
        self.outstanding = 0
        self._missing = count

    @abstractmethod
    def add(self, prepared: Collection[Any]) -> list[Sequence]:
        """The sequences of the next texts.

        Raises:
            RequestError: too_large, when the answer would be larger than :data:`MAX_REPLY_BYTES`.
        """

    def put(self, indices: list[int], result: BatchResult, places: list[int]) -> None:
        """Store what a batch holds at ``places`` for the sequences ``indices`` of this request."""
        if self.done:
            return
        self._store(indices, result, places)
        self.outstanding -= len(indices)
        self._missing -= len(indices)
        if not self._missing:
            self.done = True
            if not self.finished.done():
                self.finished.set_result(None)

    def give_up(self, error: RequestError | None) -> None:
        """Take no more; whoever awaits ``finished`` gets the error."""
        self.done = True
        if error is not None and not self.finished.done():
            self.finished.set_exception(error)

    def text_of(self, index: int) -> int:
        """The text that a sequence belongs to."""
        return index

    @abstractmethod
    def result(self) -> EncodeResult | JsonResult:
        """The answer; may take a while."""

    @abstractmethod
    def _store(self, indices: list[int], result: BatchResult, places: list[int]) -> None: ...


class _OneSequenceJob(Job):
    """A text is a sequence; a text that is too long is cut."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._added = 0

    def add(self, prepared: Collection[InputFeatures]) -> list[Sequence]:
        start, self._added = self._added, self._added + len(prepared)
        self.truncated += [index for index, f in enumerate(prepared, start) if f.truncated]
        return [Sequence(self, index, f, self.output) for index, f in enumerate(prepared, start)]


class EncodeJob(_OneSequenceJob):
    """Vectors."""

    output = "encode"

    def __init__(self, count: int, dim: int, settings: Settings) -> None:
        super().__init__(count)
        token_level = settings.token_level
        self.result_is_quick = not token_level
        self._settings = settings
        self._dim = dim
        self._dtype = np.dtype(np.float16 if settings.options.fp16 else np.float32)
        self._longest = 0
        if not token_level:
            _check_size(count * dim * self._dtype.itemsize, "the vectors")
        self._rows: np.ndarray | None = None if token_level else np.empty((count, dim), self._dtype)
        self._token_rows: list[np.ndarray | None] = [None] * count if token_level else []
        self._tokens: list[list[str]] | None = [] if settings.options.show_tokens_to_client else None

    def add(self, prepared: Collection[InputFeatures]) -> list[Sequence]:
        self._longest = max(self._longest, *(len(f.ids) for f in prepared))
        size = len(self._token_rows) * self._height() * self._dim * self._dtype.itemsize
        _check_size(size, "the vectors of all tokens")
        if self._tokens is not None:
            self._tokens += [f.tokens for f in prepared]
        return super().add(prepared)

    def result(self) -> EncodeResult:
        """Joins and pads rows at token level."""
        if self._rows is not None:
            return EncodeResult(self._rows, self._tokens, self.truncated)
        vectors = np.zeros((len(self._token_rows), self._height(), self._dim), self._dtype)
        for row, values in zip(vectors, self._token_rows, strict=True):
            assert values is not None
            row[: len(values)] = values
        return EncodeResult(vectors, self._tokens, self.truncated)

    def _store(self, indices: list[int], result: BatchResult, places: list[int]) -> None:
        vectors = result.vectors(places)
        if self._rows is not None:
            self._rows[indices] = vectors
        else:
            for index, row in zip(indices, vectors, strict=True):
                self._token_rows[index] = row

    def _height(self) -> int:
        return self._settings.fixed_length or self._longest


class ClassifyJob(_OneSequenceJob):
    """Probabilities of classes."""

    output = "head"

    def __init__(self, count: int, model: ModelInfo) -> None:
        super().__init__(count)
        _check_size(count * model.bytes_of_scores, "the scores of all labels")
        self._labels = model.labels
        self._rows = np.empty((count, len(model.labels)), np.float64)

    def result(self) -> JsonResult:
        """Row by row: with many labels all rows as Python objects would take ten times the memory of their JSON."""
        found = []
        for row in self._rows:
            scores = dict(zip(self._labels, row.tolist(), strict=True))
            best = self._labels[row.argmax()]
            found.append(json_bytes({"label": best, "score": scores[best], "scores": scores}))
        return JsonResult("classify", b"[" + b",".join(found) + b"]", self.truncated)

    def _store(self, indices: list[int], result: BatchResult, places: list[int]) -> None:
        self._rows[indices] = result.probabilities(places)


class TagJob(Job):
    """Entities, or tags. Each window of a text is a sequence, so nothing is cut."""

    output = "head"

    def __init__(self, count: int, labels: list[str], output: str) -> None:
        super().__init__(count)
        self._types = entity_types(labels)
        self._as_tags = output == "tags"
        self._longest_tag = max(map(len, labels), default=0)
        self._size = 0
        self._texts: list[WindowedText] = []
        self._starts: list[int] = []
        self._found: list[Spans | None] = []

    def add(self, prepared: Collection[WindowedText]) -> list[Sequence]:
        if self._as_tags:
            tags = sum(len(one.units if one.is_tokenized else one.text) for one in prepared)
            self._size += tags * (self._longest_tag + len('"",'))
            _check_size(self._size, "the tags of all characters")
        sequences: list[Sequence] = []
        for text in prepared:
            self._texts.append(text)
            self._starts.append(len(self._found))
            for window in text.windows:
                sequences.append(Sequence(self, len(self._found), window.features, self.output, window.first_pieces))
                self._found.append(None)
        self._missing += len(sequences) - len(prepared)
        return sequences

    def text_of(self, index: int) -> int:
        return bisect_right(self._starts, index) - 1

    def result(self) -> JsonResult:
        """Merges the windows of each text."""
        found = iter(self._found)
        answers: list[Any] = []
        for text in self._texts:
            spans = merge_spans(text, [self._unit_spans(next(found)) for _ in text.windows])
            answers.append(tags_of(text, spans) if self._as_tags else entities_of(text, spans))
        return JsonResult("tag", json_bytes(answers), self.truncated)

    def _store(self, indices: list[int], result: BatchResult, places: list[int]) -> None:
        for index, spans in zip(indices, result.spans(places), strict=True):
            self._found[index] = spans

    def _unit_spans(self, found: Spans | None) -> list[UnitSpan]:
        assert found is not None
        spans, scores = found
        return [
            UnitSpan(self._types[kind], first, end, score)
            for (_, first, end, kind), score in zip(spans.tolist(), scores.tolist(), strict=True)
        ]


def make_job(request: TaskRequest, count: int, model: ModelInfo, settings: Settings) -> Job:
    """The job for a request of ``count`` texts."""
    if request.task == "tag":
        return TagJob(count, model.labels, request.output)
    if request.task == "classify":
        return ClassifyJob(count, model)
    return EncodeJob(count, model.dim, settings)


def _check_size(size: int, what: str) -> None:
    if size > MAX_REPLY_BYTES:
        raise RequestError(
            "too_large",
            f"{what} would take {size >> 20} MB, more than {MAX_REPLY_BYTES >> 20} MB; send fewer texts in one request",
        )
