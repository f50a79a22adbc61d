"""``bert-ft predict``: a file of texts through a fine-tuned model, one JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from bert_ft.checkpoint.head import CLASSIFICATION, TAGGING
from bert_ft.data.columns import Column
from bert_ft.data.texts import is_table, text_chunks_of
from bert_ft.files.lines import count_lines, replaced_lines
from bert_ft.hardware.choice import AUTO
from bert_ft.inference.classes import Classifier
from bert_ft.inference.entities import Tagger
from bert_ft.inference.local_model import LocalModel
from bert_ft.logs import Progress, progress_bar
from bert_ft.signals import StopSignals

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

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def answer(self, texts: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
        features = self.classifier.inputs.texts(texts)
        wanted = [one for one in features if len(one.ids) > len(one.special)]
        share = _Share(progress, len(texts), len(wanted))
        answers = self.classifier.answers(wanted, share)
        for text, one in zip(texts, features, strict=True):
            has_words = len(one.ids) > len(one.special)
            yield {"text": text, **(next(answers) if has_words else {"error": _NOTHING})}

    def report(self) -> None:
        self.classifier.report()


class EntityPredictor:
    """``{"text", "entities": [{"type", "text", "start", "end", "score"}]}``; offsets count characters of the line.

    A text longer than ``max_seq_length`` is read in overlapping windows, so that nothing is lost. A line without words
    has no entities.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger

    def answer(self, texts: list[str], progress: Progress) -> list[dict[str, Any]]:
        windowed = self.tagger.windows.texts(texts)
        share = _Share(progress, len(texts), sum(len(one.windows) for one in windowed))
        found = self.tagger.answers(windowed, progress=share)
        return [{"text": one.text, "entities": entities} for one, entities in zip(windowed, found, strict=True)]

    def report(self) -> None:
        pass


def load_predictor(
    model_dir: Path, batch_size: int, max_seq_length: int | None = None, precision: str = "fp32", engine: str = AUTO
) -> Predictor:
    """Open a model directory with a head.

    Args:
        batch_size: texts, or windows of texts, that go through the model at once.
        max_seq_length: most pieces of one input. None takes, as the server does, the windows of the training for a
            tagging head, and all of the model's positions for a classification head.
        precision, engine: as the server's flags of these names.

    Raises:
        BertFtError: the directory is incomplete, has no head or one of a single output, or has fewer positions.
    """
    model = LocalModel(model_dir, precision, engine)
    logger.info("engine %s, precision %s", model.choice.engine, model.choice.precision)
    if model.need_head(CLASSIFICATION, TAGGING) == TAGGING:
        return EntityPredictor(Tagger(model, max_seq_length, batch_size=batch_size))
    return ClassPredictor(Classifier(model, max_seq_length, batch_size=batch_size))


def predict(
    model_dir: Path,
    source: str,
    target: str,
    batch_size: int,
    max_seq_length: int | None = None,
    precision: str = "fp32",
    engine: str = AUTO,
    text_column: Column | None = None,
    text_b_column: Column | None = None,
) -> int:
    """Answer each line of a file with one line of JSON, in order and in constant memory.

    Args:
        source: UTF-8 file with a text a line, or ``-`` for standard input; or a table, see
            :func:`bert_ft.data.texts.text_chunks_of`, which says what the columns are.
        target: file that takes its name only when all lines are answered, or ``-`` for standard output.

    Returns:
        how many lines were answered.

    Raises:
        BertFtError: the model or a file cannot be used, or a line is not UTF-8.
        KeyboardInterrupt: SIGINT or SIGTERM came; its argument says which, and ``target`` is as it was.
    """
    total = None if is_table(source, text_column) else count_lines(source)
    with StopSignals() as stop, replaced_lines(target) as write:
        predictor = load_predictor(model_dir, batch_size, max_seq_length, precision, engine)
        count = 0
        with progress_bar(total, "text", "predicting") as bar:
            for texts in stop.each(text_chunks_of(source, text_column, text_b_column)):
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
