"""What TensorFlow's oneDNN makes of the engine's graph, and bfloat16 against float32."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.framework import test_util

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import ONEDNN_SWITCH, this_processor
from bert_ft.model.backend import tf
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.layer_norm import FUSED_SCALE, fused_layer_norm, layer_norm
from bert_ft.text.packing import PackedBatch
from tests.server.support import RunningServer, free_ports

LAYERS = 3


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("fusion"))


def save_model(folder: Path, broken: str | None = None) -> Path:
    """A small model; ``broken`` names a variable that holds a value that is no number."""
    config = BertConfig(
        20, hidden_size=64, num_hidden_layers=LAYERS, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, type_vocab_size=2,
    )  # fmt: skip
    vocab = folder / "vocab.txt"
    vocab.write_text(
        "".join(f"{token}\n" for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"])
    )
    head = ClassificationHead(2)
    weights = initialize(encoder_shapes(config) | head.shapes(config), 0.1, seed=1)
    if broken is not None:
        weights[broken].flat[7] = np.nan
    metadata = ModelMetadata("emotion", "classification", ["bad", "good"], 64, True)
    save_model_directory(folder / "model", weights, config, vocab, metadata)
    return folder / "model"


def batch_of(lengths: list[int], vocab: int = 20) -> PackedBatch:
    random = np.random.default_rng(3)
    total = sum(lengths)
    return PackedBatch(
        random.integers(0, vocab, total).astype(np.int32),
        np.zeros(total, np.int32),
        np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        np.array(lengths, np.int32),
        np.ones(total, np.float32),
    )


def engine_of(model_dir: Path, precision: str) -> TensorFlowEngine:
    return TensorFlowEngine(EngineOptions(str(model_dir), pooling_layer=[-1], precision=precision))


def operations(engine: TensorFlowEngine, batch: PackedBatch) -> Counter[str]:
    """The operations that run, with what is fused into them; counted in the optimised graph."""
    function = engine.graph_function()
    with tf.compat.v1.Session(graph=function.graph) as session:
        values = [*batch, *(tensor.numpy() for tensor in function.captured_inputs)]
        feed = {argument.name: value for argument, value in zip(function.inputs, values, strict=True)}
        ran = tf.compat.v1.RunMetadata()
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        session.run([output.name for output in function.outputs], feed, options=options, run_metadata=ran)
    nodes = [node for graph in ran.partition_graphs for node in graph.node]
    fused = (b"+".join(node.attr["fused_ops"].list.s).decode() for node in nodes)
    return Counter(f"{node.op} {parts}".strip() for node, parts in zip(nodes, fused, strict=True))


def test_tensorflow_runs_with_the_onednn_that_the_processor_wants() -> None:
    """Unless the user said otherwise; asked of TensorFlow itself."""
    wanted = os.environ.get(ONEDNN_SWITCH) or this_processor().onednn_switch()
    if wanted is not None:
        assert test_util.IsMklEnabled() is (wanted == "1")


@pytest.mark.skipif(not test_util.IsMklEnabled(), reason="TensorFlow fuses these with oneDNN only (AVX2 or newer)")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bias_gelu_residual_and_layer_norm_are_fused(model_dir: Path, precision: str) -> None:
    """What the fused operations compute is held by the golden outputs and by the tests below, on every processor."""
    if precision == "bf16" and not this_processor().has_avx512:
        pytest.skip("TensorFlow's oneDNN has bfloat16 operations on processors with AVX-512 only")
    found = operations(engine_of(model_dir, precision), batch_of([3, 2, 5]))
    ends = Counter({name.split(" ", 1)[1]: count for name, count in found.items() if "FusedMatMul " in name})
    assert ends == {"BiasAdd+GeluExact": LAYERS, "BiasAdd+Add": 2 * LAYERS, "BiasAdd": LAYERS}
    assert found["_MklLayerNorm"] == 2 * LAYERS + 1
    assert found["_MklFusedBatchMatMulV2 Mul+Add"] == LAYERS


def test_fused_layer_norm_is_the_plain_one_even_where_the_variance_is_small() -> None:
    """Through a compiled function, so that the fused operation with its own epsilon is what runs."""
    random = np.random.default_rng(1)
    gamma, beta = random.normal(size=(2, 64)).astype(np.float32)
    x = np.concatenate([random.normal(size=(8, 64)) * size for size in (1e-4, 1e-2, 1, 100)]).astype(np.float32)
    fused = tf.function(
        lambda x: fused_layer_norm(x * FUSED_SCALE, gamma * FUSED_SCALE, beta * FUSED_SCALE) / FUSED_SCALE
    )(tf.constant(x))
    np.testing.assert_allclose(fused, layer_norm(tf.constant(x), gamma, beta), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_near_float32_and_is_not_float32(model_dir: Path) -> None:
    batch = batch_of([2, 9, 30, 4, 17])
    exact, near = (engine_of(model_dir, precision).run(batch)["encode"] for precision in ("fp32", "bf16"))
    assert near.dtype == np.float32
    assert not np.array_equal(exact, near)
    cosines = (exact * near).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert cosines.min() >= 0.9995


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_text_has_the_same_vector_in_every_batch(model_dir: Path, precision: str) -> None:
    engine = engine_of(model_dir, precision)
    batch = batch_of([5, 2, 40])
    together = engine.run(batch)["encode"]
    ends = np.cumsum(batch.lengths)
    for row, (start, end) in enumerate(zip(ends - batch.lengths, ends, strict=True)):
        alone = PackedBatch(
            *(array[start:end] for array in batch[:3]), batch.lengths[row : row + 1], batch.mask[start:end]
        )
        tolerance = 1e-5 if precision == "fp32" else 0.05
        np.testing.assert_allclose(engine.run(alone)["encode"][0], together[row], atol=tolerance)


def test_a_model_with_broken_weights_is_not_served(tmp_path: Path) -> None:
    folder = save_model(tmp_path, broken="bert/encoder/layer_0/output/dense/kernel")
    port, port_out = free_ports()
    server = RunningServer(["-model_dir", str(folder), "-port", str(port), "-port_out", str(port_out)], port, port_out)
    try:
        assert server.exit_status(60) == 1
    finally:
        server.process.kill()
    assert server.log.splitlines()[-1].startswith("error: the model gives values that are not finite")


def test_int8_is_not_this_engines(model_dir: Path) -> None:
    with pytest.raises(BertFtError, match=r"-precision int8: the tensorflow engine has fp32 and bf16"):
        engine_of(model_dir, "int8")
