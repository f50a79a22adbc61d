"""The packed encoder as an OpenVINO graph, straight from the checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_scope
from bert_ft.numerics import LAYER_NORM_EPSILON

GRAPH_VERSION = 1
"""Raised with every change of the graph: models quantised from an older one are made anew."""
_EMBEDDINGS = "bert/embeddings"
_INPUTS = {
    **dict.fromkeys(("ids", "segments", "positions"), ([-1], ov.Type.i32)),
    "pad": ([-1, -1], ov.Type.i32),
    "unpad": ([-1], ov.Type.i32),
    "bias": ([-1, 1, 1, -1], ov.Type.f32),
}
_TOKEN_INPUTS = 3


def encoder_graph(
    weights: Mapping[str, np.ndarray], config: BertConfig, with_positions: bool, gelu_apart: bool = False
) -> ov.Model:
    """All layers that ``weights`` holds; the operation that ends layer i is called ``layer_i``.

    Inputs, in this order: ids, segments and positions, int32 [T]; pad, int32 [B, S], the token at each place of the
    padded view (any token at padding); unpad, int32 [T], each token's place in that view as if it were flat; bias,
    float32 [B, 1, 1, S], what is added to the attention scores of each place.

    The result is the last layer, [T, hidden]. Query, key and value are one product: on [T, hidden] that is faster than
    three, and the padded view is gathered once.

    Args:
        gelu_apart: write the exact GELU so that OpenVINO does not make it part of the product before it. On processors
            without AVX-512 the product with GELU in it runs at two thirds of the rate of one without (Zen 3: 94 against
            139 GFLOP/s). Values differ in the last bits.
    """
    inputs = {name: ops.parameter(shape, dtype) for name, (shape, dtype) in _INPUTS.items()}
    for name, parameter in inputs.items():
        parameter.set_friendly_name(name)
    ids, segments, positions, *view = inputs.values()
    x = ops.add(
        _rows(weights[f"{_EMBEDDINGS}/word_embeddings"], ids),
        _rows(weights[f"{_EMBEDDINGS}/token_type_embeddings"], segments),
    )
    if with_positions:
        x = ops.add(x, _rows(weights[f"{_EMBEDDINGS}/position_embeddings"], positions))
    x = _layer_norm(x, weights, _EMBEDDINGS)
    layer = 0
    while f"{layer_scope(layer)}/output/dense/kernel" in weights:
        x = _layer(x, weights, config, layer, view, gelu_apart and config.hidden_act == "gelu")
        x.set_friendly_name(layer_name(layer))
        layer += 1
    return ov.Model([x], list(inputs.values()), "bert")


def embedding_names(graph: ov.Model) -> list[str]:
    """The operations that look a table up."""
    return [
        operation.get_friendly_name()
        for operation in graph.get_ops()
        if operation.get_type_name() == "Gather" and operation.input_value(0).get_node().get_type_name() == "Constant"
    ]


def layer_name(layer: int) -> str:
    return f"layer_{layer}"


def output_name(layer: int) -> str:
    """Of the product that ends a layer's feed-forward block."""
    return f"layer_{layer}_output"


def part_of(graph: ov.Model, layers: Sequence[int], after: int | None = None) -> ov.Model:
    """The part of an encoder that computes some layers, one result each.

    Args:
        layers: which, in rising order.
        after: begin behind this layer: its output, [T, hidden], is then the first of the part's inputs, before pad,
            unpad and bias.
    """
    graph = graph.clone()
    operations = {operation.get_friendly_name(): operation for operation in graph.get_ops()}
    parameters = {parameter.get_friendly_name(): parameter for parameter in graph.get_parameters()}
    inputs = [parameters[name] for name in _INPUTS]
    if after is not None:
        source = operations[layer_name(after)].output(0)
        begin = ops.parameter([-1, source.get_partial_shape()[1]], ov.Type.f32, "hidden")
        for consumer in source.get_target_inputs():
            consumer.replace_source_output(begin.output(0))
        inputs = [begin, *inputs[_TOKEN_INPUTS:]]
    return ov.Model([operations[layer_name(layer)].output(0) for layer in layers], inputs, "bert")


def _layer(
    x: Any, weights: Mapping[str, np.ndarray], config: BertConfig, layer: int, view: Any, gelu_apart: bool
) -> Any:
    scope = layer_scope(layer)
    context = _attention(_dense(x, *_joined(weights, scope)), config, *view)
    attended = _dense(context, *_kernel(weights, f"{scope}/attention/output/dense"))
    x = _layer_norm(ops.add(attended, x), weights, f"{scope}/attention/output")
    kernel, bias = _kernel(weights, f"{scope}/intermediate/dense")
    inner = _gelu_apart(x, kernel, bias) if gelu_apart else _activation(_dense(x, kernel, bias), config.hidden_act)
    kernel, output_bias = _kernel(weights, f"{scope}/output/dense")
    product = ops.matmul(inner, _constant(kernel), False, True)
    product.set_friendly_name(output_name(layer))
    output = ops.add(product, _constant(output_bias))
    return _layer_norm(ops.add(output, x), weights, f"{scope}/output")


def _attention(qkv: Any, config: BertConfig, pad: Any, unpad: Any, bias: Any) -> Any:
    """[T, 3 * hidden] to [T, hidden]"""
    by_head = _whole(0, 0, config.num_attention_heads, config.head_size)
    parts = ops.split(ops.gather(qkv, pad, _axis(0)), _axis(2), 3).outputs()
    query, key, value = (ops.transpose(ops.reshape(part, by_head, True), _whole(0, 2, 1, 3)) for part in parts)
    context = ops.scaled_dot_product_attention(query, key, value, bias)
    flat = ops.reshape(ops.transpose(context, _whole(0, 2, 1, 3)), _whole(-1, config.hidden_size), False)
    return ops.gather(flat, unpad, _axis(0))


def _joined(weights: Mapping[str, np.ndarray], scope: str) -> tuple[np.ndarray, np.ndarray]:
    parts = [_kernel(weights, f"{scope}/attention/self/{name}") for name in ("query", "key", "value")]
    return np.concatenate([kernel for kernel, _ in parts]), np.concatenate([bias for _, bias in parts])


def _kernel(weights: Mapping[str, np.ndarray], scope: str) -> tuple[np.ndarray, np.ndarray]:
    """[out, in], the order in which OpenVINO keeps a dense layer, and the bias."""
    return weights[f"{scope}/kernel"].T, weights[f"{scope}/bias"]


def _dense(x: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    return ops.add(ops.matmul(x, _constant(kernel), False, True), _constant(bias))


def _layer_norm(x: Any, weights: Mapping[str, np.ndarray], scope: str) -> Any:
    normal = ops.mvn(x, _whole(-1), True, LAYER_NORM_EPSILON, "inside_sqrt")
    scaled = ops.multiply(normal, _constant(weights[f"{scope}/LayerNorm/gamma"]))
    return ops.add(scaled, _constant(weights[f"{scope}/LayerNorm/beta"]))


def _activation(x: Any, name: str) -> Any:
    if name.startswith("gelu"):
        return ops.gelu(x, "erf" if name == "gelu" else "tanh")
    return {"relu": ops.relu, "tanh": ops.tanh, "linear": lambda same: same}[name](x)


def _gelu_apart(x: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    """With y = dense(x) / sqrt(2), GELU is y / sqrt(2) * (1 + erf(y)): a form that OpenVINO does not fuse."""
    factor = np.float32(0.5**0.5)
    y = _dense(x, kernel * factor, bias * factor)
    return ops.multiply(ops.multiply(y, _constant(factor)), ops.add(ops.erf(y), _constant(np.float32(1))))


def _rows(table: np.ndarray, indices: Any) -> Any:
    return ops.gather(_constant(table), indices, _axis(0))


def _constant(values: np.ndarray) -> Any:
    return ops.constant(np.ascontiguousarray(values), shared_memory=True)


def _whole(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))


def _axis(axis: int) -> Any:
    return ops.constant(np.int64(axis))
