"""OpenVINO on the processor; a size is the number of texts of a padded batch, "8 async" with a stream for each thread.

int8 is nncf's post-training quantisation, calibrated on part of the texts; what stays is computed in bf16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from loop import inputs, padded_batches, serve, specification

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
CALIBRATION_TEXTS = 64


def main() -> None:
    spec = specification()
    core = openvino.Core()
    model = core.read_model(spec["onnx"])
    texts = inputs(spec)
    if spec["precision"] == "int8":
        model = quantised(model, texts)
    settings = {"INFERENCE_PRECISION_HINT": PRECISIONS[spec["precision"]], "INFERENCE_NUM_THREADS": spec["threads"]}
    alone = core.compile_model(model, "CPU", {**settings, "NUM_STREAMS": 1}).create_infer_request()
    streams = core.compile_model(model, "CPU", {**settings, "NUM_STREAMS": spec["threads"]})

    def run(size: str, prepared: list) -> list[np.ndarray]:
        if size.endswith("async"):
            return run_async(streams, spec["threads"], prepared)
        return [alone.infer(list(batch))[0].copy() for batch in prepared]

    batches = {size: padded_batches(texts, int(size.split()[0])) for size in spec["sizes"]}
    serve(f"openvino {openvino.__version__}", batches, run)


def run_async(compiled: openvino.CompiledModel, requests: int, prepared: list) -> list[np.ndarray]:
    results: list[Any] = [None] * len(prepared)
    queue = openvino.AsyncInferQueue(compiled, requests)
    queue.set_callback(lambda request, number: results.__setitem__(number, request.get_output_tensor(0).data.copy()))
    for number, batch in enumerate(prepared):
        queue.start_async(list(batch), number)
    queue.wait_all()
    return results


def quantised(model: openvino.Model, texts: list[np.ndarray]) -> openvino.Model:
    import nncf

    chosen = texts[:: max(1, len(texts) // CALIBRATION_TEXTS)]
    samples = nncf.Dataset([list(batch) for _, batch in padded_batches(chosen, 1)])
    kind, device = nncf.ModelType.TRANSFORMER, nncf.TargetDevice.CPU
    return nncf.quantize(model, samples, model_type=kind, subset_size=len(chosen), target_device=device)


main()
