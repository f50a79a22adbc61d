"""Entities of many texts, from a tagging head's scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bert_ft.inference.logits import ScoringModel, predict_token_logits
from bert_ft.logs import Progress
from bert_ft.text.decoding import BioDecoder
from bert_ft.text.spans import UnitSpan
from bert_ft.text.windows import WindowedText, merge_spans


def predict_spans(
    model: ScoringModel,
    decoder: BioDecoder,
    windowed: Sequence[WindowedText],
    batch_size: int,
    progress: Progress | None = None,
) -> list[list[UnitSpan]]:
    """Entities of each text, in its units."""
    windows = [window for text in windowed for window in text.windows]
    logits = predict_token_logits(model, [window.features for window in windows], batch_size, progress)
    emissions = [scores[window.first_pieces] for scores, window in zip(logits, windows, strict=True)]
    decoded: list[list[UnitSpan]] = []
    for start in range(0, len(windows), batch_size):
        part = emissions[start : start + batch_size]
        decoded += decoder.decode(np.concatenate(part), [len(scores) for scores in part])
    spans = iter(decoded)
    return [merge_spans(text, [next(spans) for _ in text.windows]) for text in windowed]
