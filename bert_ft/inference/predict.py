"""``bert-ft predict``: a file of texts through a fine-tuned model, one JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
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


class Predictor(Protocol):
    """Answers texts with JSON objects: :class:`Classifier` and :class:`Tagger`."""

    def lines(self, texts: list[str], progress: Progress) -> Iterable[dict[str, Any]]:
        """One object a text, in order, made as it is asked for; advances the progress by the number of texts."""

    def report(self) -> None:
        """Log what the user should know at the end."""


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
        return Tagger(model, max_seq_length, batch_size=batch_size)
    return Classifier(model, max_seq_length, batch_size=batch_size)


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
                for answer in predictor.lines(texts, stop.watched(bar)):
                    write(json.dumps(answer, ensure_ascii=False) + "\n")
                count += len(texts)
        predictor.report()
    return count
