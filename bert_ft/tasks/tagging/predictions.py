"""Files of predicted entities: CoNLL columns and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bert_ft.files.lines import replaced_lines
from bert_ft.tasks.tagging.schemes import tags_of
from bert_ft.text.spans import Span


class Prediction(NamedTuple):
    """Entities predicted for one text.

    Attributes:
        units: character ranges of what carries a tag.
        gold: what the data say, or None where they say nothing.
        scores: probability of each predicted span.
    """

    text: str
    units: Sequence[tuple[int, int]]
    gold: Sequence[Span] | None
    predicted: Sequence[Span]
    scores: Sequence[float]


def write_conll(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write unit, gold tag (where there is one) and predicted tag, parted by tabs; a blank line after each text."""
    with replaced_lines(str(path)) as write:
        for prediction in predictions:
            columns = [[prediction.text[start:end] for start, end in prediction.units]]
            if prediction.gold is not None:
                columns.append(tags_of(prediction.gold, prediction.units))
            columns.append(tags_of(prediction.predicted, prediction.units))
            lines = ["\t".join(cells) + "\n" for cells in zip(*columns, strict=True)]
            write(_escaped("".join(lines) + "\n"))


def write_json_lines(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write ``json_line`` of each prediction."""
    with replaced_lines(str(path)) as write:
        for prediction in predictions:
            write(_escaped(json_line(prediction.text, prediction.predicted, prediction.scores) + "\n"))


def _escaped(text: str) -> str:
    """Half a surrogate pair, which UTF-8 cannot hold, becomes the escape that JSON has for it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_line(text: str, spans: Sequence[Span], scores: Sequence[float]) -> str:
    """``{"text", "entities": [{"type", "text", "start", "end", "score"}]}``, ends exclusive, as the reader takes it."""
    entities = [
        {"type": kind, "text": text[start:end], "start": start, "end": end, "score": float(score)}
        for (kind, start, end), score in zip(spans, scores, strict=True)
    ]
    return json.dumps({"text": text, "entities": entities}, ensure_ascii=False)
