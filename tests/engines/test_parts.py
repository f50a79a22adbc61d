"""Batches that engines run in parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.engines.openvino.engine import OpenvinoEngine
from bert_ft.engines.parts import cut_by_length
from bert_ft.engines.plan import PLACES_PER_THREAD
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.model.heads import ClassificationHead, TaggingHead
from bert_ft.text.packing import PackedBatch
from tests.engines.test_openvino import options, random_batch
from tests.golden import FOLDER

BOTH = frozenset({"encode", "head"})


def test_parts_hold_every_sequence_once_and_keep_to_their_size() -> None:
    lengths = [5, 60, 3, 17, 3, 64, 1, 12]
    batch = random_batch(lengths)
    starts = np.cumsum(lengths) - lengths
    seen: list[int] = []
    for sequences, tokens, part in cut_by_length(batch, 64):
        assert len(sequences) == 1 or len(sequences) * part.lengths.max() <= 64
        expected = np.concatenate([np.arange(starts[one], starts[one] + lengths[one]) for one in sequences])
        np.testing.assert_array_equal(tokens, expected)
        np.testing.assert_array_equal(part.ids, batch.ids[expected])
        np.testing.assert_array_equal(part.lengths, batch.lengths[sequences])
        seen += sequences.tolist()
    assert sorted(seen) == list(range(len(lengths)))


def sequence(batch: PackedBatch, index: int) -> PackedBatch:
    first = int(batch.lengths[:index].sum())
    tokens = slice(first, first + int(batch.lengths[index]))
    return PackedBatch(
        batch.ids[tokens], batch.segments[tokens], batch.positions[tokens], batch.lengths[index : index + 1],
        batch.mask[tokens],
    )  # fmt: skip


@pytest.mark.parametrize("engine", [TensorFlowEngine, OpenvinoEngine])
@pytest.mark.parametrize(("head", "pooling"), [("classification", "NONE"), ("tagging", "REDUCE_MEAN")])
def test_a_batch_of_many_parts_gives_what_each_text_gives_alone(
    tmp_path: Path, engine: type[TensorFlowEngine | OpenvinoEngine], head: str, pooling: str
) -> None:
    """In the order of the batch, for outputs with a row a token and a row a text."""
    config = BertConfig(68, 32, 2, 4, 64, "gelu", max_position_embeddings=64, type_vocab_size=2)
    layer = ClassificationHead(3) if head == "classification" else TaggingHead(3)
    weights = initialize(encoder_shapes(config) | layer.shapes(config), 0.2, seed=3)
    metadata = ModelMetadata("test", head, ["a", "b", "c"], 64, True)
    save_model_directory(tmp_path / "model", weights, config, FOLDER / "small" / "vocab.txt", metadata)
    loaded = engine(replace(options(tmp_path / "model", "-pooling_strategy", pooling), threads=2))
    lengths = np.random.default_rng(1).integers(1, 64, 200).tolist()
    batch = random_batch(lengths, masked=True)
    assert sum(lengths) > 2 * 2 * PLACES_PER_THREAD
    found = loaded.run(batch, BOTH)
    alone = [loaded.run(sequence(batch, index), BOTH) for index in range(len(lengths))]
    for name in BOTH:
        expected = np.concatenate([one[name] for one in alone])
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-6)
