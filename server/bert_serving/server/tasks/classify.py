"""Probabilities of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from bert_serving.client.wire import json_bytes
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import Job, JsonResult, check_size
from bert_serving.server.tasks.request import Texts
from bert_serving.server.tasks.task import HeadReader, Task, bare, input_features

from bert_ft.checkpoint.head import CLASSIFICATION
from bert_ft.numerics import softmax
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import FullTokenizer

if TYPE_CHECKING:
    from bert_serving.server.settings import Settings

_BYTES_OF_A_SCORE = 22
"""Digits, a colon and a comma."""


class Classify(Task):
    """Reads texts as in training, whatever flags say about vectors."""

    name = "classify"
    head = CLASSIFICATION

    def __init__(self, tokenizer: FullTokenizer, settings: Settings) -> None:
        self._inputs = InputBuilder(tokenizer, settings.max_pieces)
        self._labels: list[str] | None = None
        self._bytes_of_scores = 0

    def prepare(self, texts: Texts) -> list[InputFeatures]:
        return [bare(f) for f in input_features(self._inputs, texts)]

    def job(self, count: int, dim: int, labels: list[str], options: Mapping[str, Any], limits: Limits) -> ClassifyJob:
        if self._labels is not labels:  # there may be many: counted once
            self._labels = labels
            self._bytes_of_scores = sum(len(json_bytes(label)) + _BYTES_OF_A_SCORE for label in labels)
        check_size(count * self._bytes_of_scores, "the scores of all labels", limits)
        return ClassifyJob(count, labels)

    @staticmethod
    def head_reader(info: dict[str, Any]) -> HeadReader:
        return _read_logits


def _read_logits(logits: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Softmax, float64 [B, C]."""
    return {"probabilities": softmax(logits.astype(np.float64))}


class ClassifyJob(Job):
    """The best label of each text, and the scores of all."""

    def __init__(self, count: int, labels: list[str]) -> None:
        super().__init__(count, np.empty((count, len(labels)), np.float64))
        self._labels = labels

    @staticmethod
    def read(arrays: dict[str, np.ndarray], lengths: list[int]) -> np.ndarray:
        return arrays["probabilities"]

    def result(self) -> JsonResult:
        """Row by row: with many labels all rows as Python objects would take ten times the memory of their JSON."""
        found = []
        for row in self._rows:
            scores = dict(zip(self._labels, row.tolist(), strict=True))
            best = self._labels[row.argmax()]
            found.append(json_bytes({"label": best, "score": scores[best], "scores": scores}))
        return JsonResult(Classify.name, b"[" + b",".join(found) + b"]", self.truncated)
