"""Entities of texts, or their tags."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from collections.abc import Sequence as Collection
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from bert_serving.client.wire import json_bytes
from bert_serving.server.batching.batcher import Sequence
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import Job, JsonResult, check_size
from bert_serving.server.tasks.request import Texts, check_one_of
from bert_serving.server.tasks.task import Task, bare

from bert_ft.checkpoint.head import TAGGING
from bert_ft.text.decoding import BioDecoder, UnitSpan
from bert_ft.text.entities import entities_of, tags_of
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.windows import WindowBuilder, WindowedText, merge_spans

if TYPE_CHECKING:
    from bert_serving.server.settings import Settings

OUTPUTS = ("entities", "tags")

Spans = tuple[np.ndarray, np.ndarray]
"""What :class:`SpanReader` writes in the worker and :class:`TagJob` reads: int32 [S, 4], place of the sequence in the
batch, first unit, end unit, type id; and float64 [S], the scores. In the order of the sequences."""


class Tag(Task):
    """Its request has a field ``output``, one of :data:`OUTPUTS`."""

    name = "tag"
    head = TAGGING

    def __init__(self, tokenizer: FullTokenizer, settings: Settings) -> None:
        self._windows = WindowBuilder(tokenizer, settings.window_pieces)

    @staticmethod
    def read_options(extra: Mapping[str, Any]) -> dict[str, Any]:
        return {"output": check_one_of("output", extra.get("output", OUTPUTS[0]), OUTPUTS)}

    def prepare(self, texts: Texts) -> list[WindowedText]:
        windowed = self._windows.words(texts) if isinstance(texts[0], list) else self._windows.texts(texts)
        return [one._replace(windows=[w._replace(features=bare(w.features)) for w in one.windows]) for one in windowed]

    def job(self, count: int, dim: int, labels: list[str], options: Mapping[str, Any], limits: Limits) -> TagJob:
        return TagJob(count, labels, options["output"], limits)

    @staticmethod
    def head_reader(info: dict[str, Any]) -> SpanReader:
        return SpanReader(info["labels"], info.get("crf_transitions"))


class TagJob(Job):
    """Each window of a text is a sequence, so nothing is cut."""

    def __init__(self, count: int, labels: list[str], output: str, limits: Limits) -> None:
        self._found: list[Spans | None] = []
        super().__init__(count, self._found)
        self._types = entity_types(labels)
        self._as_tags = output == "tags"
        self._longest_tag = max(map(len, labels), default=0)
        self._size = 0
        self._limits = limits
        self._texts: list[WindowedText] = []
        self._starts: list[int] = []

    def add(self, prepared: Collection[WindowedText]) -> list[Sequence]:
        if self._as_tags:
            tags = sum(len(one.units if one.is_tokenized else one.text) for one in prepared)
            self._size += tags * (self._longest_tag + len('"",'))
            check_size(self._size, "the tags of all characters", self._limits)
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

    @staticmethod
    def read(arrays: dict[str, np.ndarray], lengths: list[int]) -> list[Spans]:
        spans, scores = arrays["spans"], arrays["scores"]
        bounds = np.searchsorted(spans[:, 0], range(len(lengths) + 1)).tolist()
        return [(spans[start:end], scores[start:end]) for start, end in pairwise(bounds)]

    def result(self) -> JsonResult:
        """Merges the windows of each text."""
        found = iter(self._found)
        answers: list[Any] = []
        for text in self._texts:
            spans = merge_spans(text, [self._unit_spans(next(found)) for _ in text.windows])
            answers.append(tags_of(text, spans) if self._as_tags else entities_of(text, spans))
        return JsonResult(Tag.name, json_bytes(answers), self.truncated)

    def _unit_spans(self, found: Spans | None) -> list[UnitSpan]:
        assert found is not None
        spans, scores = found
        return [
            UnitSpan(self._types[kind], first, end, score)
            for (_, first, end, kind), score in zip(spans.tolist(), scores.tolist(), strict=True)
        ]


class SpanReader:
    """Decodes the units of each sequence to :data:`Spans`.

    Args:
        labels: BIO tags in id order.
        transitions: a CRF's scores [L, L], or None.
    """

    def __init__(self, labels: Collection[str], transitions: Any) -> None:
        self._decoder = BioDecoder(labels, None if transitions is None else np.asarray(transitions, np.float64))
        self._types = {name: number for number, name in enumerate(entity_types(labels))}

    def __call__(self, logits: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        tagged = np.flatnonzero(counts)
        decoded = self._decoder.decode(logits[firsts], counts[tagged])
        found = [
            (place, span.first, span.end, self._types[span.type], span.score)
            for place, spans in zip(tagged.tolist(), decoded, strict=True)
            for span in spans
        ]
        return {
            "spans": np.array([row[:4] for row in found], np.int32).reshape(-1, 4),
            "scores": np.array([row[4] for row in found], np.float64),
        }


def entity_types(labels: Collection[str]) -> list[str]:
    """The types of BIO labels in the order of their ids."""
    return [label[2:] for label in labels if label.startswith("B-")]
