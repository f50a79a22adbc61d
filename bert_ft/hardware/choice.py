"""The precision and engine that fit a machine: what ``auto`` takes, and what is said of one that does not fit."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from bert_ft.hardware.processor import Processor

AUTO = "auto"


class Choice(NamedTuple):
    """What is taken, and why: a line for the log."""

    precision: str
    engine: str
    reason: str


def is_installed(*modules: str) -> bool:
    """Whether all can be imported; none is."""
    return all(find_spec(name) is not None for name in modules)


def choose(precision: str, engine: str, processor: Processor, gpu: bool, openvino: bool) -> Choice:
    """Put something definite in the place of ``auto``.

    Figures are of 12 x 768 on 2 cores; docs/performance.md has them with their commands.

    Args:
        precision: "auto", "fp32", "bf16" or "int8"; auto takes bf16 where the processor multiplies it, never int8,
            which costs accuracy.
        engine: "auto", or one that is taken as it is.
        gpu: a GPU is used.
        openvino: it is installed.

    Example:
        >>> zen3 = Processor("EPYC", "x86_64", frozenset({"avx", "avx2", "fma"}))
        >>> choose("auto", "auto", zen3, gpu=False, openvino=True)[:2]
        ('fp32', 'openvino')
    """
    reasons = []
    if precision == AUTO:
        precision, why = _precision(processor, gpu)
        reasons.append(f"-precision auto takes {precision}: {why}")
    if engine == AUTO:
        engine, why = _engine(precision, processor, gpu, openvino)
        reasons.append(f"-engine auto takes {engine}: {why}")
    return Choice(precision, engine, "; ".join(reasons))


def precision_notes(precision: str, engine: str, processor: Processor) -> list[str]:
    """Lines for the log about a precision on a processor: a faster one that is not used, or one that does not pay."""
    kind = processor.kind
    if precision == "fp32" and processor.has_bfloat16_products:
        return ["this processor multiplies bfloat16: -precision bf16 is faster; its vectors differ in the third digit"]
    if precision == "bf16" and processor.has_bfloat16_products is False:
        if engine == "openvino":
            return [f"-precision bf16: this processor ({kind}) has no bfloat16 products: openvino computes in float32"]
        return [
            f"-precision bf16: this processor ({kind}) has no bfloat16 products: it saves memory here, not time "
            "(measured on AVX2: 0.85 of the rate of fp32)"
        ]
    if precision == "int8" and processor.has_int8_products is False:
        return [
            f"-precision int8: this processor ({kind}) has no 8-bit products (VNNI): it saves memory here, not time "
            "(measured on AVX2: 0.85 of the rate of fp32)"
        ]
    return []


def _precision(processor: Processor, gpu: bool) -> tuple[str, str]:
    if gpu:
        return "fp32", "other precisions were not measured on a GPU"
    if processor.has_bfloat16_products:
        return "bf16", f"this processor ({processor.kind}) multiplies bfloat16, at about twice the rate"
    if processor.has_bfloat16_products is None:
        return "fp32", "this system does not say whether its processor multiplies bfloat16"
    return "fp32", f"this processor ({processor.kind}) has no bfloat16 products, bf16 is slower on it"


def _engine(precision: str, processor: Processor, gpu: bool, openvino: bool) -> tuple[str, str]:
    if precision == "int8":
        return "openvino", "the one engine that has int8"
    if gpu:
        return "tensorflow", "openvino uses the processor only, and there is a GPU (-cpu leaves it out)"
    if not processor.has_avx2:
        return "tensorflow", f"openvino was not measured on this kind of processor ({processor.kind})"
    if precision == "bf16" and not processor.has_bfloat16_products:
        return "tensorflow", "openvino has bf16 only where the processor multiplies it"
    if not openvino:
        return "tensorflow", 'openvino is not installed (pip install "bert-ft[openvino]"): single texts would be faster'
    time = {"fp32": "0.7", "bf16": "0.5"}[precision] if processor.has_avx512 else "0.6"
    return "openvino", f"one text takes {time} of tensorflow's time on this kind of processor ({processor.kind})"
