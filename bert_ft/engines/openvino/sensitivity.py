"""Which dense layers the vectors suffer from most in int8.

Only the products that end the feed-forward blocks are looked at: their inputs have by far the largest outliers.
"""

from __future__ import annotations

import math

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from bert_ft.engines.openvino.core import core
from bert_ft.engines.openvino.graph import output_name

_LEVELS = 256


def sensitive_outputs(graph: ov.Model, batch: list[np.ndarray], alpha: float, share: float) -> list[str]:
    """Names of the products that are better left in floating point.

    The input of one product at a time is rounded to 8 bits; what counts is how far the last layer moves.

    Args:
        graph: of :func:`openvino_graph.encoder_graph`, not quantised.
        batch: its inputs for some calibration texts.
        alpha: of SmoothQuant (arXiv:2211.10438, equation 4), which comes before rounding.
        share: of the layers that are named, rounded up.
    """
    graph = graph.clone()
    products = [operation for operation in graph.get_ops() if _is_output(operation.get_friendly_name())]
    sources = [product.input_value(0) for product in products]
    inputs = _run(ov.Model(sources, graph.get_parameters()), [batch])[0]
    flags = ops.parameter([len(products)], ov.Type.f32)
    for place, (product, source, values) in enumerate(zip(products, sources, inputs, strict=True)):
        kernel = product.input_value(1).get_node().data  # [out, in]
        flag = ops.gather(flags, ops.constant(np.int64(place)), ops.constant(np.int64(0)))
        rounded = _rounded(source, values, _smoothing(values, kernel, alpha))
        mixed = ops.add(source, ops.multiply(flag, ops.subtract(rounded, source)))
        product.input(0).replace_source_output(mixed.output(0))
    model = ov.Model(graph.outputs, [*graph.get_parameters(), flags])
    cases = np.vstack([np.zeros(len(products)), np.eye(len(products))]).astype(np.float32)
    exact, *moved = (results[0] for results in _run(model, [[*batch, case] for case in cases]))
    errors = [np.linalg.norm(one - exact) for one in moved]
    worst = np.argsort(errors)[::-1][: math.ceil(share * len(errors))]
    return [products[place].get_friendly_name() for place in worst]


def _is_output(name: str) -> bool:
    return any(name == output_name(int(part)) for part in name.split("_") if part.isdigit())


def _smoothing(values: np.ndarray, kernel: np.ndarray, alpha: float) -> np.ndarray:
    tiny = np.float32(1e-5)
    largest = np.maximum(np.abs(values).max(axis=0), tiny)
    return (largest**alpha / np.maximum(np.abs(kernel).max(axis=0), tiny) ** (1 - alpha)).astype(np.float32)


def _rounded(source: ov.Output, values: np.ndarray, scale: np.ndarray) -> ov.Node:
    smooth = values / scale
    low, high = (ops.constant(np.float32(edge)) for edge in (smooth.min(), smooth.max()))
    divided = ops.divide(source, ops.constant(scale))
    return ops.multiply(ops.fake_quantize(divided, low, high, low, high, _LEVELS), ops.constant(scale))


def _run(model: ov.Model, batches: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [[values.copy() for values in compiled(batch).values()] for batch in batches]
