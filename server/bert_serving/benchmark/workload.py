"""The texts that clients send, and how many word pieces the server makes of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bert_serving.benchmark.options import BenchmarkOptions
from bert_serving.server.settings import Settings
from bert_serving.server.tasks.registry import make_tasks

from bert_ft.errors import BertFtError
from bert_ft.files.lines import text_chunks
from bert_ft.text.tokenizer import FullTokenizer

SPECIAL_PIECES = 2
LONG_TEXTS = 64
_WORDS_TRIED = 20_000


@dataclass(frozen=True)
class Workload:
    """
    Attributes:
        texts: N texts, in the order in which they are sent.
        pieces: int [N], pieces of each as the server counts them: with special tokens, cut at its limit.
        source: where they come from, for the report.
    """

    texts: list[str]
    pieces: np.ndarray
    source: str

    @classmethod
    def of(cls, texts: list[str], settings: Settings, source: str) -> Workload:
        features = make_tasks(settings)["encode"].prepare(texts)
        return cls(texts, np.array([len(one.ids) for one in features], np.int64), source)

    @cached_property
    def lengths(self) -> dict[str, float]:
        """Pieces of a text: min, mean, p50, p90, max."""
        middle, high = np.percentile(self.pieces, [50, 90])
        return {
            "min": int(self.pieces.min()),
            "mean": round(float(self.pieces.mean()), 2),
            "p50": float(middle),
            "p90": float(high),
            "max": int(self.pieces.max()),
        }

    @property
    def short_text(self) -> int:
        """The index of a text as long as a tenth of all at most."""
        return int(np.abs(self.pieces - np.percentile(self.pieces, 10)).argmin())

    def as_long_as(self, length: int, settings: Settings) -> Workload:
        """Texts that the server cuts to ``length`` pieces: these texts, joined until they are long enough.

        Args:
            settings: of a server with ``-max_seq_len length``.

        Raises:
            BertFtError: the texts have too few pieces for that.
        """
        joined, at = [], 0
        for _ in range(LONG_TEXTS):
            parts, pieces = [], SPECIAL_PIECES
            while pieces < length:
                parts.append(self.texts[at % len(self.texts)])
                pieces += max(1, int(self.pieces[at % len(self.texts)]) - SPECIAL_PIECES)
                at += 1
            joined.append(" ".join(parts))
        long = Workload.of(joined, settings, f"{self.source}, joined")
        if long.pieces.min() < length:
            raise BertFtError(
                f"{self.source}: some texts have no word pieces; texts of {length} cannot be made of them"
            )
        return long


def load_workload(options: BenchmarkOptions, settings: Settings) -> Workload:
    """Read or generate the texts.

    Raises:
        BertFtError: a file cannot be read, is not UTF-8, or holds nothing that can be sent.
    """
    random = np.random.default_rng(options.seed)
    if options.texts is not None:
        texts = read_texts(options.texts)
        order = random.permutation(len(texts))[: options.num_text]
        return Workload.of([texts[i] for i in order], settings, options.texts)
    tokenizer = settings.directory.tokenizer(settings.options.do_lower_case)
    if options.client_vocab_file is not None:
        words = sorted({word for line in read_texts(options.client_vocab_file) for word in line.split()})
        source = f"words of {options.client_vocab_file}"
    else:
        words = tokenizer.vocab.tokens
        source = "words of the model's vocabulary"
    words, sizes = _usable(words, tokenizer, random, whole=options.client_vocab_file is None)
    if not words:
        raise BertFtError(f"{source}: no word of it is known to the model's tokenizer; give -texts FILE")
    lengths = text_lengths(options.num_text, options.mean_length, options.length_sigma, settings.max_pieces, random)
    return Workload.of(_generate(words, sizes, lengths, random), settings, source)


def read_texts(path: str) -> list[str]:
    """The lines of a file that are not blank.

    Raises:
        BertFtError: it cannot be read, a line is not UTF-8, or all are blank.
    """
    texts = [line for chunk in text_chunks(path) for line in chunk if line.strip()]
    if not texts:
        raise BertFtError(f"{path}: no text in it; give a file with one text a line")
    return texts


def text_lengths(count: int, mean: float, sigma: float, maximum: int, random: np.random.Generator) -> np.ndarray:
    """Pieces of ``count`` texts, log-normal, cut to 3 … ``maximum``.

    The parameter of the mean is ln(mean) - sigma²/2, so that ``mean`` is the distribution's own before it is cut.
    """
    drawn = random.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)
    return np.clip(np.rint(drawn), SPECIAL_PIECES + 1, maximum).astype(np.int64)


def _usable(
    words: list[str], tokenizer: FullTokenizer, random: np.random.Generator, whole: bool
) -> tuple[list[str], np.ndarray]:
    """A sample of the words without [UNK] in them, and the pieces of each; ``whole`` for words of one piece alone."""
    chosen = [words[i] for i in random.permutation(len(words)) if _is_plain(words[i])][:_WORDS_TRIED]
    known = []
    for word, encoding in zip(chosen, tokenizer.encode_batch(chosen), strict=True):
        pieces = len(encoding.ids)
        if tokenizer.vocab.unk_id not in encoding.ids and (pieces == 1 if whole else pieces):
            known.append((word, pieces))
    return [word for word, _ in known], np.array([pieces for _, pieces in known], np.int64)


def _is_plain(word: str) -> bool:
    """Neither the inside of a word nor a special token."""
    return bool(word) and not word.startswith("##") and not (word.startswith("[") and word.endswith("]"))


def _generate(words: list[str], sizes: np.ndarray, lengths: np.ndarray, random: np.random.Generator) -> list[str]:
    texts = []
    for length in lengths:
        room = int(length) - SPECIAL_PIECES
        drawn = random.integers(len(words), size=room)
        kept = int(np.searchsorted(np.cumsum(sizes[drawn]), room, side="right"))
        texts.append(" ".join(words[i] for i in drawn[: max(1, kept)]))
    return texts
