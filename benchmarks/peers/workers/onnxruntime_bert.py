"""ONNX Runtime on its processor provider; a size is the number of texts of a padded batch.

The graph goes through onnxruntime's own transformer optimiser first (attention, GELU and LayerNorm fused); int8 is its
dynamic quantisation: weights beforehand, activations batch by batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from loop import inputs, padded_batches, serve, specification
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model

PROVIDERS = ["CPUExecutionProvider"]


def main() -> None:
    spec = specification()
    path, fused = optimised(Path(spec["onnx"]), spec)
    if spec["precision"] == "int8":
        quantised = path.with_name("quantised.onnx")
        # the types behind fused operators cannot be inferred
        types = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(path, quantised, weight_type=QuantType.QInt8, per_channel=True, extra_options=types)
        path = quantised
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    texts = inputs(spec)

    def run(size: str, prepared: list) -> list[np.ndarray]:
        return [session.run(None, {"ids": ids, "mask": mask})[0] for ids, mask in prepared]

    batches = {size: padded_batches(texts, int(size)) for size in spec["sizes"]}
    serve(f"onnxruntime {onnxruntime.__version__}, {fused} attention layers fused", batches, run)


def optimised(path: Path, spec: dict[str, Any]) -> tuple[Path, int]:
    """The optimised file, and how many layers' attention became one operator."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    folded = path.with_name(f"folded.{spec['precision']}.onnx")
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    # What it does at a higher opt_level is the folding above, but it wants torch for it.
    model = optimize_model(
        str(folded), model_type="bert", num_heads=spec["heads"], hidden_size=spec["hidden"], opt_level=0
    )
    result = path.with_name(f"optimised.{spec['precision']}.onnx")
    model.save_model_to_file(str(result))
    return result, sum(node.op_type in ("Attention", "MultiHeadAttention") for node in model.model.graph.node)


main()
