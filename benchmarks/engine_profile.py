"""Where the time of one batch goes, operation by operation; the served graph beside the plain one that training runs.

Usage: python -m benchmarks.engine_profile --model_dir DIR --texts FILE [--precision bf16] [--tokens 2048] [--runs 5]

The batch holds texts of middle length, --tokens pieces in all. "in parts" is how the engine runs it, the other rows are
one run of a graph with the whole batch. The plain graph has the same weights in the same precision, with LayerNorm and
residual adds written as in training. Times are TensorFlow's own, of each operation, one operation at a time on all
cores; the share of the roof is that of a 2048-square product in the same precision, timed between the runs. Prints two
Markdown tables.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from bert_serving.benchmark.peak import flop_per_token, product_rate
from bert_serving.server.options import ServerOptions

from benchmarks.common import command_line, read_texts
from bert_ft import ModelDirectory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.tensorflow import CALLERS, TensorFlowEngine
from bert_ft.hardware.processor import usable_cores
from bert_ft.model.backend import tf, use_machine
from bert_ft.model.captured import DTYPES
from bert_ft.model.encoder import EmbeddingWeights, LayerWeights, embedding_weights, encode, layer_weights
from bert_ft.model.pooling import TokenTensors
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.pooling_strategy import PoolingStrategy, pool_tokens
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import PackedBatch, pack


def main() -> None:
    options = _options()
    use_machine(usable_cores(), CALLERS, gpu=False)
    model = ModelDirectory.open(options.model_dir)
    batch = _batch(model, read_texts(options.texts), options.tokens)
    dtype = DTYPES[options.precision]
    settings = EngineOptions(
        str(options.model_dir), pooling_layer=[-1], precision=options.precision, threads=usable_cores()
    )
    engine = TensorFlowEngine(settings)
    functions = {"served": engine.graph_function(), "plain": _plain_function(model, dtype)}
    top_layer = ServerOptions(str(options.model_dir), pooling_layer=(-1,))
    work = flop_per_token(model.config, top_layer) * len(batch.ids) / 1e9
    inputs = [tf.convert_to_tensor(array) for array in batch]
    ways: dict[str, Callable[[], Any]] = {
        "in parts": lambda: engine.run(batch),
        **{name: partial(_whole, function, inputs) for name, function in functions.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(options.runs):
        for name, way in ways.items():
            before = product_rate(options.precision, seconds=0.1)
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
            shares[name].append(work / seconds[name][-1] / max(before, product_rate(options.precision, seconds=0.1)))
    print(f"{options.precision}, {len(batch.lengths)} texts, {len(batch.ids)} pieces\n")
    print("| graph | ms | pieces/s | share of the roof |\n|---|---|---|---|")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(
            f"| {name} | {middle * 1e3:.0f} | {len(batch.ids) / middle:.0f} | {statistics.median(shares[name]):.2f} |"
        )
    profiles = {name: _profile(function, batch, options.runs) for name, function in functions.items()}
    print("\n| operation | served, ms | share | times | plain, ms | times |\n|---|---|---|---|---|---|")
    total = sum(time for time, _ in profiles["served"].values())
    longest = {one: max(p.get(one, (0, 0))[0] for p in profiles.values()) for one in set().union(*profiles.values())}
    for operation in sorted(longest, key=lambda one: -longest[one])[:16]:
        (ms, times), (plain, others) = (profiles[name].get(operation, (0.0, 0)) for name in ("served", "plain"))
        print(f"| {operation} | {ms:.1f} | {ms / total:.1%} | {times} | {plain:.1f} | {others} |")


def _whole(function: Any, inputs: list[Any]) -> None:
    tf.nest.map_structure(lambda one: one.numpy(), function(*inputs))


def _batch(model: ModelDirectory, texts: list[str], tokens: int) -> PackedBatch:
    builder = InputBuilder(model.tokenizer(), model.max_pieces(None))
    features = sorted(builder.texts(texts), key=lambda one: len(one.ids))
    start, chosen, pieces = len(features) // 2, [], 0
    for one in features[start:]:
        if chosen and pieces + len(one.ids) > tokens:
            break
        chosen.append(one)
        pieces += len(one.ids)
    return pack(chosen)


def _plain_function(model: ModelDirectory, dtype: tf.DType) -> Any:
    """The encoder as training writes it, over captured weights of this dtype."""
    config = model.config
    loaded = CheckpointReader(model.checkpoint).load(encoder_shapes(config))
    weights = {name: tf.constant(value) for name, value in loaded.items()}

    def cast(part: EmbeddingWeights | LayerWeights) -> Any:
        norms = ("gamma", "beta")
        pairs = zip(part._fields, part, strict=True)
        return type(part)(*(value if name.endswith(norms) else tf.cast(value, dtype) for name, value in pairs))

    embeddings = cast(embedding_weights(weights))
    layers = [cast(layer_weights(weights, index)) for index in range(config.num_hidden_layers)]

    def forward(*arrays: Any) -> Any:
        batch = PackedTensors(*arrays)
        hidden = tf.cast(encode(embeddings, layers, config, batch)[-1], tf.float32)
        return pool_tokens(hidden, TokenTensors(batch), PoolingStrategy.REDUCE_MEAN)

    return tf.function(forward, autograph=False).get_concrete_function(*packed_signature())


def _profile(function: Any, batch: PackedBatch, runs: int) -> dict[str, tuple[float, int]]:
    """Milliseconds a run and number of each kind of operation, fused parts named."""
    settings = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=usable_cores(), inter_op_parallelism_threads=1)
    with tf.compat.v1.Session(graph=function.graph, config=settings) as session:
        values = [*batch, *(tensor.numpy() for tensor in function.captured_inputs)]
        feed = {argument.name: value for argument, value in zip(function.inputs, values, strict=True)}
        fetches = [output.name for output in function.outputs]
        for _ in range(2):
            session.run(fetches, feed)
        micros: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        trace = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE, output_partition_graphs=True)
        for _ in range(runs):
            ran = tf.compat.v1.RunMetadata()
            session.run(fetches, feed, options=trace, run_metadata=ran)
            kinds = {node.name: _kind(node) for graph in ran.partition_graphs for node in graph.node}
            for device in ran.step_stats.dev_stats:
                for node in device.node_stats:
                    kind = kinds.get(node.node_name, "other")
                    micros[kind] += node.op_end_rel_micros - node.op_start_rel_micros
                    counts[kind] += 1
    return {kind: (time / runs / 1000, counts[kind] // runs) for kind, time in micros.items()}


def _kind(node: Any) -> str:
    fused = b" + ".join(node.attr["fused_ops"].list.s).decode() if "fused_ops" in node.attr else ""
    return f"{node.op.removeprefix('_Mkl')} {fused}".strip()


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "model_dir", "texts")
    parser.add_argument("--precision", choices=list(DTYPES), default="bf16")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
