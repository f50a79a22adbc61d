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

from bert_ft.checkpoint.directory import ModelDirectory, open_model_directory
from bert_ft.checkpoint.vocabulary import load_fitting_vocab
from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.files.lines import STANDARD, replaced_lines
from bert_ft.model.embedder import Embedder
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.signals import watched_bar
from bert_ft.tasks.similarity.pairs import ScoredPair, read_scored_pairs
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.text.tokenizer import FullTokenizer

logger = logging.getLogger(__name__)

DEFAULT_LAYERS = (-2,)
"""The server's."""


@dataclass(frozen=True)
class SentenceEncoder:
    """What turns sentences into vectors.

    Attributes:
        pooling_layer: see :class:`bert_ft.model.embedder.Embedder`.
        precision: "fp32" or "bf16".
        max_seq_length: most pieces of a sentence, special tokens included; None for the model's positions.
        do_lower_case: None for what bert_ft.json says, else true.
        mask_cls_sep: leave [CLS] and [SEP] out of attention and pooling.
        batch_size: sentences that go through the model at once.
    """

    model_dir: Path
    pooling_strategy: PoolingStrategy = PoolingStrategy.REDUCE_MEAN
    pooling_layer: Sequence[int] = DEFAULT_LAYERS
    precision: str = "fp32"
    max_seq_length: int | None = None
    do_lower_case: bool | None = None
    mask_cls_sep: bool = False
    batch_size: int = 64

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 [len(sentences), dim]; the number of sentences that were cut is logged.

        Raises:
            BertFtError: the model directory or an option cannot be used.
        """
        directory = open_model_directory(self.model_dir)
        inputs = InputBuilder(self._tokenizer(directory), self._length(directory))
        embedder = Embedder(self.model_dir, self.pooling_strategy, self.pooling_layer, self.precision)
        features = inputs.pairs([(sentence, None) for sentence in sentences])
        if cut := sum(one.truncated for one in features):
            logger.warning("%d sentences were cut to %d pieces", cut, inputs.max_seq_length)
        return self._run(embedder, features)

    def _run(self, embedder: Embedder, features: Sequence[InputFeatures]) -> np.ndarray:
        order = np.argsort([len(one.ids) for one in features], kind="stable")
        parts = []
        with watched_bar(len(features), "sentence", "encoding") as progress:
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                parts.append(embedder.vectors(pack([features[index] for index in chosen], self.mask_cls_sep)))
                progress.update(len(chosen))
        return np.concatenate(parts)[np.argsort(order)]

    def _tokenizer(self, directory: ModelDirectory) -> FullTokenizer:
        lower_case = self.do_lower_case
        if lower_case is None:
            lower_case = directory.metadata.do_lower_case if directory.metadata else True
        return FullTokenizer(load_fitting_vocab(directory.vocab_file, directory.config), lower_case)

    def _length(self, directory: ModelDirectory) -> int:
        limit = directory.config.max_position_embeddings
        if self.max_seq_length is not None and self.max_seq_length > limit:
            raise BertFtError(f"--max_seq_length={self.max_seq_length} is more than the model's {limit} positions")
        return self.max_seq_length or limit


@dataclass(frozen=True)
class Correlation:
    """Of the cosines with the scores; both coefficients lie between -1 and 1."""

    pearson: float
    spearman: float


def evaluate_file(
    source: Path,
    encoder: SentenceEncoder,
    bad_rows: BadRows,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
) -> dict[str, Any]:
    """Score an encoder on a file of pairs; see :func:`read_scored_pairs` for what it may hold.

    Returns:
        ``file``, ``pairs``, ``skipped`` (rows left out), ``pearson``, ``spearman``, and how the encoder was set.

    Raises:
        BertFtError: the file or the encoder cannot be used, or no correlation is defined.
    """
    pairs = read_scored_pairs(source, bad_rows, columns, delimiter)
    result = {"file": str(source), "pairs": len(pairs), "skipped": bad_rows.skipped(source)}
    result |= asdict(evaluate_pairs(encoder, pairs))
    settings = asdict(encoder) | {
        "model_dir": str(encoder.model_dir),
        "pooling_strategy": encoder.pooling_strategy.name,
    }
    return result | settings


def report(result: Mapping[str, Any], output: str | None) -> None:
    """Print what matters as a table; write all of it as JSON to a file, or with ``-`` print that instead."""
    if output is not None:
        with replaced_lines(output) as write:
            write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if output != STANDARD:
        for name in ("pairs", "skipped", "pearson", "spearman"):
            value = result[name]
            print(f"{name:<10}{value:.4f}" if isinstance(value, float) else f"{name:<10}{value}")


def evaluate_pairs(encoder: SentenceEncoder, pairs: Sequence[ScoredPair]) -> Correlation:
    """Score an encoder on pairs; a sentence that stands in several of them is encoded once.

    Raises:
        BertFtError: the encoder cannot be used, or no correlation is defined.
    """
    numbers: dict[str, int] = {}
    for pair in pairs:
        for sentence in (pair.first, pair.second):
            numbers.setdefault(sentence, len(numbers))
    check_scores(pairs)
    vectors = encoder.encode(list(numbers))
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
