"""Right vectors, computed in this process by the engine, one text a batch."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab


class Oracle:
    """The vectors of a model directory, without a server."""

    def __init__(self, model_dir: Path) -> None:
        directory = open_model_directory(str(model_dir))
        vocab = Vocab.load(directory.vocab_file)
        characters = [piece for piece in vocab.ids if len(piece) == 1 and "一" <= piece <= "鿿"]
        self.poison = characters[-1], vocab.ids[characters[-1]]
        self._usable = characters[:-1]
        lower = directory.metadata.do_lower_case if directory.metadata else True
        self._inputs = InputBuilder(FullTokenizer(vocab, lower), directory.config.max_position_embeddings)
        self._engine = TensorFlowEngine(EngineOptions(model_dir=str(model_dir)))

    def __call__(self, texts: list[str]) -> np.ndarray:
        features = self._inputs.texts(texts)
        return np.concatenate([self._engine.run(pack([one]))["encode"] for one in features])

    def tokenized(self, texts: list[list[str]]) -> np.ndarray:
        features = self._inputs.tokenized(texts)
        return np.concatenate([self._engine.run(pack([one]))["encode"] for one in features])

    def corpus(self, count: int, seed: int = 7) -> list[str]:
        """Texts of 1 to 200 Chinese characters, most of them short, without the one of ``poison``."""
        rng = random.Random(seed)
        lengths = [min(200, 1 + int(rng.expovariate(1 / 15))) for _ in range(count)]
        return ["".join(rng.choices(self._usable, k=length)) for length in lengths]
