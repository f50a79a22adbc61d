"""Right vectors, computed in this process by the engine, one text a batch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import bert_ft


class Oracle:
    """The vectors of a model directory, without a server."""

    def __init__(self, model_dir: Path) -> None:
        self._encoder = bert_ft.Encoder(model_dir, engine="tensorflow", batch_size=1)
        vocab = self._encoder.model.tokenizer.vocab
        characters = [piece for piece in vocab.ids if len(piece) == 1 and "一" <= piece <= "鿿"]
        self.poison = characters[-1], vocab.ids[characters[-1]]
        self._usable = characters[:-1]

    def __call__(self, texts: Sequence[str] | Sequence[list[str]]) -> np.ndarray:
        return self._encoder.encode(texts)

    def corpus(self, count: int, seed: int = 7) -> list[str]:
        """Texts of 1 to 200 Chinese characters, most of them short, without the one of ``poison``."""
        rng = random.Random(seed)
        lengths = [min(200, 1 + int(rng.expovariate(1 / 15))) for _ in range(count)]
        return ["".join(rng.choices(self._usable, k=length)) for length in lengths]
