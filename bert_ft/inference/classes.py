"""Classes of texts, as the server gives them, without a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_ft.checkpoint.head import CLASSIFICATION
from bert_ft.hardware.choice import AUTO
from bert_ft.inference.local_model import LocalModel
from bert_ft.inference.logits import Share, logits_in_parts
from bert_ft.logs import Progress
from bert_ft.numerics import softmax
from bert_ft.text.packing import InputFeatures

logger = logging.getLogger(__name__)

_NOTHING = "the line has no text to classify"


class Classifier:
    """Texts to their classes.

    Args:
        model_dir: a directory with a classification head, such as ``bert-ft-train --task_name=emotion`` leaves.
        max_seq_length: most pieces of a text, special tokens included; longer ones are cut, and it is logged how many.
            None for the model's positions.
        precision, engine: as the server's flags of these names.
        batch_size: texts that go through the model at once.

    Attributes:
        cut: texts that were longer than that, so far.

    Raises:
        BertFtError: the model directory or an option cannot be used.

    Example:
        >>> classifier = Classifier(classifier_dir)
        >>> sorted(classifier.classify(["今天很高兴"])[0])
        ['label', 'score', 'scores']
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | LocalModel,
        max_seq_length: int | None = None,
        precision: str = "fp32",
        engine: str = AUTO,
        batch_size: int = 64,
    ) -> None:
        self.model = LocalModel.with_head(model_dir, CLASSIFICATION, precision, engine)
        self.inputs = self.model.inputs(max_seq_length)
        self.cut = 0
        self._batch_size = batch_size

    def classify(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """``{"label", "score", "scores": {label: score}}`` of each text; scores are probabilities.

        Args:
            texts: ``" ||| "`` parts a pair, as it does for the server.
        """
        before = self.cut
        answers = list(self.answers(self.inputs.texts(texts)))
        self.report(before)
        return answers

    def answers(self, features: Sequence[InputFeatures], progress: Progress | None = None) -> Iterator[dict[str, Any]]:
        """As :meth:`classify`, made as they are asked for; "truncated" stands where a text was cut."""
        self.cut += sum(one.truncated for one in features)
        parts = logits_in_parts(self.model, features, self._batch_size, progress)
        rows = (row for logits in parts for row in softmax(logits.astype(np.float64)))
        for one, scores in zip(features, rows, strict=True):
            yield self._answer(scores.tolist()) | ({"truncated": True} if one.truncated else {})

    def lines(self, texts: Sequence[str], progress: Progress) -> Iterator[dict[str, Any]]:
        """As :meth:`answers`, each beside its ``"text"``; one without words has an ``"error"`` in its place."""
        features = self.inputs.texts(texts)
        wanted = [one for one in features if len(one.ids) > len(one.special)]
        answers = self.answers(wanted, Share(progress, len(texts), len(wanted)))
        for text, one in zip(texts, features, strict=True):
            has_words = len(one.ids) > len(one.special)
            yield {"text": text, **(next(answers) if has_words else {"error": _NOTHING})}

    def report(self, before: int = 0) -> None:
        """Log how many texts were cut, but for so many ``before``."""
        if self.cut > before:
            logger.warning("%d texts were cut to %d pieces", self.cut - before, self.inputs.max_seq_length)

    def _answer(self, scores: list[float]) -> dict[str, Any]:
        best = max(range(len(scores)), key=scores.__getitem__)
        by_label = dict(zip(self.model.labels, scores, strict=True))
        return {"label": self.model.labels[best], "score": scores[best], "scores": by_label}
