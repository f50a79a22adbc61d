"""Model directories of random weights: one a head, for whoever needs any model at all."""

from __future__ import annotations

from pathlib import Path

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.head import HeadKind
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.text.vocab import Vocab

VOCAB = Path(__file__).parents[1] / "data" / "vocab.txt"
HEADS = {
    "encoder": None,
    "classifier": HeadKind("classification", ["anger", "joy", "surprise"]),
    "tagger": HeadKind("tagging", ["O", "B-person", "I-person", "B-place", "I-place"]),
}


def tiny_model(folder: Path, name: str) -> Path:
    """A model of 2 layers and 128 values, in a folder of its own below ``folder``; ``name`` is a key of ``HEADS``."""
    path, head = folder / name, HEADS[name]
    config = BertConfig(
        len(Vocab.load(VOCAB)), hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
        max_position_embeddings=128, type_vocab_size=2,
    )  # fmt: skip
    weights = initialize(encoder_shapes(config) | (head.shapes(config) if head else {}), 0.1, seed=5)
    metadata = ModelMetadata(
        name, head.name if head else None, head.labels if head else [], 64, True, head.options if head else {}
    )
    save_model_directory(path, weights, config, VOCAB, metadata)
    return path
