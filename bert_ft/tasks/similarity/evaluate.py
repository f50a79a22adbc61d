"""``bert-ft evaluate-sts``: how well the cosine of two vectors follows people's judgement of similarity."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.files.lines import STANDARD, replaced_lines
from bert_ft.inference.vectors import Encoder
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.signals import watched_bar
from bert_ft.tasks.similarity.pairs import ScoredPair, read_scored_pairs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Correlation:
    """Of the cosines with the scores; both coefficients lie between -1 and 1."""

    pearson: float
    spearman: float


def evaluate_file(
    source: Path,
    settings: dict[str, Any],
    bad_rows: BadRows,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
) -> dict[str, Any]:
    """Score an encoder on a file of pairs; see :func:`read_scored_pairs` for what it may hold.

    Args:
        settings: those of :class:`bert_ft.inference.vectors.Encoder`, ``model_dir`` and ``pooling_strategy`` at least.

    Returns:
        ``file``, ``pairs``, ``skipped`` (rows left out), ``pearson``, ``spearman``, and how the encoder was set.

    Raises:
        BertFtError: the file or the encoder cannot be used, or no correlation is defined.
    """
    strategy: PoolingStrategy = settings["pooling_strategy"]
    if strategy is PoolingStrategy.NONE or strategy.needs_head:
        what = "the scores of a head" if strategy.needs_head else "a vector for each token"
        raise BertFtError(f"pooling strategy {strategy.name} gives {what}, not a vector for each text; choose another")
    pairs = read_scored_pairs(source, bad_rows, columns, delimiter)
    result = {"file": str(source), "pairs": len(pairs), "skipped": bad_rows.skipped(source)}
    check_scores(pairs)
    encoder = Encoder(**settings)
    logger.info("engine %s, precision %s", encoder.model.choice.engine, encoder.model.choice.precision)
    result |= asdict(evaluate_pairs(encoder, pairs))
    taken = {"engine": encoder.model.choice.engine, "precision": encoder.model.choice.precision}
    return result | settings | {"model_dir": str(settings["model_dir"]), "pooling_strategy": strategy.name} | taken


def report(result: Mapping[str, Any], output: str | None) -> None:
    """Print what matters as a table; write all of it as JSON to a file, or with ``-`` print that instead."""
    if output is not None:
        with replaced_lines(output) as write:
            write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if output != STANDARD:
        for name in ("pairs", "skipped", "pearson", "spearman"):
            value = result[name]
            print(f"{name:<10}{value:.4f}" if isinstance(value, float) else f"{name:<10}{value}")


def evaluate_pairs(encoder: Encoder, pairs: Sequence[ScoredPair]) -> Correlation:
    """Score an encoder on pairs; a sentence that stands in several of them is encoded once.

    Raises:
        BertFtError: the encoder cannot be used, or no correlation is defined.
    """
    numbers: dict[str, int] = {}
    for pair in pairs:
        for sentence in (pair.first, pair.second):
            numbers.setdefault(sentence, len(numbers))
    with watched_bar(len(numbers), "sentence", "encoding") as progress:
        vectors = encoder.encode(list(numbers), progress, split_pairs=False)
    first = vectors[[numbers[pair.first] for pair in pairs]]
    second = vectors[[numbers[pair.second] for pair in pairs]]
    return correlate(cosines(first, second), np.array([pair.score for pair in pairs]))


def check_scores(pairs: Sequence[ScoredPair]) -> None:
    """Raises BertFtError where no encoder could have a correlation: known before any work is done."""
    if len({pair.score for pair in pairs}) < 2:
        raise BertFtError(f"the scores of all {len(pairs)} pairs are equal: there is nothing to correlate with")


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row of one matrix [N, dim] with the same row of the other, float64 [N]; 0 for a zero vector.

    Raises:
        BertFtError: a vector has a value that is not finite.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise BertFtError("the model gives vectors that are not finite; its weights are broken")
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.einsum("ij,ij->i", first, second)
    return np.divide(products, lengths, out=np.zeros(len(first)), where=lengths > 0)


def correlate(values: np.ndarray, scores: np.ndarray) -> Correlation:
    """Pearson's and Spearman's (mean ranks for ties) coefficients.

    Raises:
        BertFtError: one side is constant.
    """
    if np.ptp(values) == 0 or np.ptp(scores) == 0:
        raise BertFtError(f"no correlation is defined: all {len(values)} pairs have the same cosine or score")
    return Correlation(float(pearsonr(values, scores)[0]), float(spearmanr(values, scores)[0]))
