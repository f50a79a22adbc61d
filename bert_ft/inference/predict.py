"""``bert-ft predict``: a file of texts through a fine-tuned model, one JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from bert_ft.checkpoint.directory import ModelDirectory, open_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.checkpoint.vocabulary import load_fitting_vocab
from bert_ft.checkpoint.writer import CheckpointReader
from bert_ft.errors import BertFtError
from bert_ft.files.lines import count_lines, replaced_lines, text_chunks
from bert_ft.logs import Progress, progress_bar
from bert_ft.model.heads import Head, TaggingHead, stored_head
from bert_ft.model.trainable import BertModel
from bert_ft.signals import StopSignals
from bert_ft.tasks.classification.tally import softmax
from bert_ft.tasks.tagging.training_rows import decoder_of, predict_spans
from bert_ft.text.entities import entities_of
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.windows import WindowBuilder
from bert_ft.training.step import logits_in_parts

logger = logging.getLogger(__name__)

_NOTHING = "the line has no text to classify"


class Predictor(Protocol):
    """Answers texts with JSON objects."""

    def answer(self, texts: list[str], progress: Progress) -> Iterable[dict[str, Any]]:
        """One object a text, in order, made as it is asked for; advances the progress by the number of texts."""

    def report(self) -> None:
        """Log what the user should know at the end."""


class ClassPredictor:
    """``{"text", "label", "score", "scores": {label: score}}``; scores are probabilities.

    `` ||| `` parts a pair, as it does for the server. A text longer than ``max_seq_length`` is cut, and its object says
    ``"truncated": true``. A line without words is answered with ``{"text", "error"}``.
    """

    def __init__(
        self, model: BertModel, labels: list[str], tokenizer: FullTokenizer, max_seq_length: int, batch_size: int
    ) -> None:
        self._model = model
        self._labels = labels
        self._inputs = InputBuilder(tokenizer, max_seq_length)
        self._batch_size = batch_size
        self._cut = 0

    def answer(self, texts: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
        features = self._inputs.texts(texts)
        wanted = [one for one in features if len(one.ids) > len(one.special)]
        self._cut += sum(one.truncated for one in wanted)
        share = _Share(progress, len(texts), len(wanted))
        parts = logits_in_parts(self._model, wanted, self._batch_size, share)
        rows = (row for logits in parts for row in softmax(logits))
        for text, one in zip(texts, features, strict=True):
            if len(one.ids) > len(one.special):
                yield {
                    "text": text,
                    **self._best(next(rows).tolist()),
                    **({"truncated": True} if one.truncated else {}),
                }
            else:
                yield {"text": text, "error": _NOTHING}

    def report(self) -> None:
        if self._cut:
            logger.warning("%d texts were cut to %d pieces", self._cut, self._inputs.max_seq_length)

    def _best(self, scores: list[float]) -> dict[str, Any]:
        best = max(range(len(scores)), key=scores.__getitem__)
        by_label = dict(zip(self._labels, scores, strict=True))
        return {"label": self._labels[best], "score": scores[best], "scores": by_label}


class EntityPredictor:
    """``{"text", "entities": [{"type", "text", "start", "end", "score"}]}``; offsets count characters of the line.

    A text longer than ``max_seq_length`` is read in overlapping windows, so that nothing is lost. A line without words
    has no entities.
    """

    def __init__(
        self, model: BertModel, labels: list[str], tokenizer: FullTokenizer, max_seq_length: int, batch_size: int
    ) -> None:
        self._model = model
        self._decoder = decoder_of(model, labels)
        self._windows = WindowBuilder(tokenizer, max_seq_length)
        self._batch_size = batch_size

    def answer(self, texts: list[str], progress: Progress) -> list[dict[str, Any]]:
        windowed = self._windows.texts(texts)
        share = _Share(progress, len(texts), sum(len(one.windows) for one in windowed))
        spans = predict_spans(self._model, self._decoder, windowed, self._batch_size, share)
        return [
            {"text": one.text, "entities": entities_of(one, found)} for one, found in zip(windowed, spans, strict=True)
        ]

    def report(self) -> None:
        pass


def load_predictor(model_dir: Path, batch_size: int, max_seq_length: int | None = None) -> Predictor:
    """Open a model directory with a head.

    Args:
        batch_size: texts, or windows of texts, that go through the model at once.
        max_seq_length: most pieces of one input. None takes, as the server does, the windows of the training for a
            tagging head, and all of the model's positions for a classification head.

    Raises:
        BertFtError: the directory is incomplete, has no head or one of a single output, or has fewer positions.
    """
    opened = open_model_directory(model_dir)
    reader = CheckpointReader(opened.checkpoint)
    head, labels = stored_head(opened.metadata, reader.shapes)
    if head is None:
        raise BertFtError(f"{model_dir}: has no head, only an encoder; give a fine-tuned directory (bert-ft-train)")
    if len(labels) < 2:
        raise BertFtError(f"{model_dir}: the head has one output, which makes no choice between labels")
    length = _length(opened, head, max_seq_length)
    vocab = load_fitting_vocab(opened.vocab_file, opened.config)
    tokenizer = FullTokenizer(vocab, opened.metadata.do_lower_case if opened.metadata else True)
    weights = reader.load(encoder_shapes(opened.config) | head.shapes(opened.config))
    model = BertModel(opened.config, head, weights)
    if isinstance(head, TaggingHead):
        return EntityPredictor(model, labels, tokenizer, length, batch_size)
    return ClassPredictor(model, labels, tokenizer, length, batch_size)


def predict(model_dir: Path, source: str, target: str, batch_size: int, max_seq_length: int | None = None) -> int:
    """Answer each line of a file with one line of JSON, in order and in constant memory.

    Args:
        source: UTF-8 file with a text a line, or ``-`` for standard input.
        target: file that takes its name only when all lines are answered, or ``-`` for standard output.

    Returns:
        how many lines were answered.

    Raises:
        BertFtError: the model or a file cannot be used, or a line is not UTF-8.
        KeyboardInterrupt: SIGINT or SIGTERM came; its argument says which, and ``target`` is as it was.
    """
    total = count_lines(source)
    with StopSignals() as stop, replaced_lines(target) as write:
        predictor = load_predictor(model_dir, batch_size, max_seq_length)
        count = 0
        with progress_bar(total, "text", "predicting") as bar:
            for texts in stop.each(text_chunks(source)):
                for answer in predictor.answer(texts, stop.watched(bar)):
                    write(json.dumps(answer, ensure_ascii=False) + "\n")
                count += len(texts)
        predictor.report()
    return count


class _Share:
    """Advances a count of texts while the inputs made of them are worked off: their windows, or those with words."""

    def __init__(self, progress: Progress, texts: int, inputs: int) -> None:
        self._progress, self._texts, self._inputs = progress, texts, inputs
        self._done = self._shown = 0
        if not inputs:
            progress.update(texts)

    def update(self, inputs: int) -> None:
        self._done += inputs
        reached = self._texts * self._done // self._inputs
        self._progress.update(reached - self._shown)
        self._shown = reached


def _length(opened: ModelDirectory, head: Head, asked: int | None) -> int:
    limit = opened.config.max_position_embeddings
    if asked is not None and asked > limit:
        raise BertFtError(f"--max_seq_length={asked} is more than the model's {limit} positions")
    trained = opened.metadata.max_seq_length if opened.metadata and isinstance(head, TaggingHead) else limit
    return asked or min(trained, limit)
