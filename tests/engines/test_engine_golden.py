"""The encoder and every pooling strategy against the original server's own vectors."""

from __future__ import annotations

import numpy as np
import pytest
from bert_serving.server.helper import get_args_parser

from bert_ft.engines.base import EngineOptions
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.golden import FOLDER, GOLDEN, TEXTS, Golden


def features() -> list[InputFeatures]:
    vocab = Vocab.load(FOLDER / "small" / "vocab.txt")
    return InputBuilder(FullTokenizer(vocab), 25).texts(TEXTS)


def engine(golden: Golden) -> TensorFlowEngine:
    flags = get_args_parser().parse_args(["-model_dir", str(golden.model_dir), *golden.flags.split()])
    return TensorFlowEngine(
        EngineOptions(
            model_dir=str(golden.model_dir),
            pooling_strategy=flags.pooling_strategy.name,
            pooling_layer=list(flags.pooling_layer),
            mask_cls_sep=flags.mask_cls_sep,
            no_position_embeddings=flags.no_position_embeddings,
            num_labels=flags.num_labels or 2,
        )
    )


def unpacked(vectors: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    result = np.zeros((len(lengths), longest, vectors.shape[1]), np.float32)
    for row, part in enumerate(np.split(vectors, np.cumsum(lengths)[:-1])):
        result[row, : len(part)] = part
    return result


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_vectors_are_the_originals(golden: Golden) -> None:
    batch = pack(features(), mask_special="-mask_cls_sep" in golden.flags)
    vectors = engine(golden).run(batch)["encode"]
    expected = golden.vectors
    if expected.ndim == 3:
        vectors = unpacked(vectors, batch.lengths, expected.shape[1])
    np.testing.assert_allclose(
        vectors.astype(expected.dtype).astype(np.float32),
        expected.astype(np.float32),
        rtol=0,
        atol=golden.tolerance,
    )


def test_a_batch_gives_what_each_text_gives_alone() -> None:
    model = engine(GOLDEN[0])
    together = model.run(pack(features()))["encode"]
    alone = np.concatenate([model.run(pack([feature]))["encode"] for feature in features()])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("layer", "layers_run"), [("-1", 3), ("-2", 2), ("0", 1), ("-3 -2", 2)])
def test_layers_above_the_highest_one_asked_for_are_not_computed(layer: str, layers_run: int) -> None:
    """A layer has 4 dense products (query, key and value are one) and 2 in attention."""
    model = engine(Golden("", f"-pooling_layer {layer}"))
    kinds = [operation.type for operation in model.graph_function().graph.get_operations()]
    assert kinds.count("MatMul") == 4 * layers_run
    assert kinds.count("BatchMatMulV2") == 2 * layers_run
