"""``bert-ft inspect --machine``: what this machine has for a model, and what ``auto`` would take on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from bert_ft.hardware.choice import AUTO, choose, is_installed
from bert_ft.hardware.processor import ONEDNN_SWITCH, Processor, gpu_count, switch_onednn, this_processor, usable_cores


def describe_machine(environment: Mapping[str, str] = os.environ) -> str:
    """Lines of text; TensorFlow is not imported."""
    processor = this_processor()
    gpus = gpu_count()
    features = " ".join(processor.shown_features()) or "this system does not say"
    limit = f"; oneDNN is limited to {processor.limit} (ONEDNN_MAX_CPU_ISA)" if processor.limit else ""
    choice = choose(AUTO, AUTO, processor, gpus > 0, is_installed("openvino"))
    rows = {
        "processor": f"{processor.name} ({processor.architecture}), {usable_cores()} usable cores",
        "kind": f"{processor.kind}{limit}",
        "features": features,
        "GPUs": str(gpus),
        "tensorflow": f"{_versions('tensorflow', 'tensorflow-cpu')}; {_onednn(processor, environment)}",
        "openvino": f"{_versions('openvino')}; nncf {_versions('nncf')}{_capabilities()}",
        "auto": f"-precision {choice.precision} -engine {choice.engine}",
        "because": choice.reason,
    }
    return "\n".join(f"{name:<12}{text}" for name, text in rows.items())


def _onednn(processor: Processor, environment: Mapping[str, str]) -> str:
    if ONEDNN_SWITCH in environment:
        return f"oneDNN as {ONEDNN_SWITCH}={environment[ONEDNN_SWITCH]} says"
    if switch_onednn(environment):
        by_itself = processor.has_int8_products or processor.has_bfloat16_products
        return "oneDNN on, as by itself here" if by_itself else "oneDNN on, which it leaves off here by itself"
    return "oneDNN as it has it by itself"


def _versions(*names: str) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"


def _capabilities() -> str:
    if not is_installed("openvino"):
        return ""
    try:
        import openvino
    except ImportError as error:
        return f"; cannot be imported ({' '.join(str(error).split())}): install it anew"
    return f"; multiplies {' '.join(sorted(openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')))}"
