"""What the machine can multiply with."""

from __future__ import annotations

import os
from pathlib import Path

_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


def cpuinfo(key: str) -> str:
    """The first processor's entry in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")


def has_fast_bfloat16() -> bool | None:
    """Whether there are bfloat16 products; None where nobody says."""
    flags = cpuinfo("flags") or cpuinfo("Features")  # x86, ARM
    return not _BFLOAT16.isdisjoint(flags.split()) if flags else None


def precision_notes(precision: str, on_processor: bool) -> list[str]:
    """Lines for the log: a faster format that is not used, or a slow one that is."""
    if not on_processor:
        return []
    fast = has_fast_bfloat16()
    if precision == "fp32" and fast:
        return ["this processor multiplies bfloat16: -precision bf16 is faster; its vectors differ in the third digit"]
    if precision == "bf16" and fast is False:
        return ["-precision bf16: this processor has no bfloat16 products; fp32 may be faster"]
    return []


def gpu_count() -> int:
    """NVIDIA devices of this machine."""
    return sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))
