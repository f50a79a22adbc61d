from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.model.heads import ClassificationHead

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"]


@pytest.fixture
def config() -> BertConfig:
    return BertConfig(
        len(TOKENS), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12, type_vocab_size=2, initializer_range=0.2,
    )  # fmt: skip


@pytest.fixture
def weights(config: BertConfig) -> dict[str, np.ndarray]:
    return initialize(encoder_shapes(config) | ClassificationHead(2).shapes(config), 0.2, seed=1)


@pytest.fixture
def vocab_file(tmp_path: Path) -> Path:
    path = tmp_path / "some_vocab.txt"
    path.write_text("".join(f"{token}\n" for token in TOKENS))
    return path


@pytest.fixture
def metadata() -> ModelMetadata:
    return ModelMetadata("emotion", "classification", ["bad", "good"], 12, True)


@pytest.fixture
def model_dir(
    tmp_path: Path, weights: dict[str, np.ndarray], config: BertConfig, vocab_file: Path, metadata: ModelMetadata
) -> Path:
    save_model_directory(tmp_path / "model", weights, config, vocab_file, metadata)
    return tmp_path / "model"
