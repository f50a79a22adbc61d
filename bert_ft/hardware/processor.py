"""What this machine's processor can multiply with, and what TensorFlow's oneDNN makes of it: one place for all."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ONEDNN_SWITCH = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow reads it when it is imported: 1 or 0."""
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""oneDNN reads the first that is set, in TensorFlow and in OpenVINO alike; OpenVINO's own kernels read neither."""

_AVX2 = ("avx", "avx2", "fma")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl")
_VNNI = (*_AVX512, "avx512_vnni")
_BF16 = (*_VNNI, "avx512_bf16")
_FP16 = (*_BF16, "avx512_fp16", "avx_vnni")
_LEVELS = {
    "SSE41": (),
    "AVX": ("avx",),
    "AVX2": _AVX2,
    "AVX2_VNNI": (*_AVX2, "avx_vnni"),
    "AVX2_VNNI_2": (*_AVX2, "avx_vnni", "avx_vnni_int8", "avx_ne_convert"),
    "AVX512_CORE": _AVX512,
    "AVX512_CORE_VNNI": _VNNI,
    "AVX512_CORE_BF16": _BF16,
    "AVX512_CORE_FP16": _FP16,
    "AVX512_CORE_AMX": (*_FP16, "amx_tile", "amx_int8", "amx_bf16"),
}
"""What oneDNN may use at each value of its limit, as Linux writes it (oneDNN's guide, "CPU Dispatcher Control")."""
_LIMITED = frozenset().union(*_LEVELS.values())

_INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "asimddp"})
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_SHOWN = (*dict.fromkeys(_LEVELS["AVX512_CORE_AMX"]), "asimd", "asimddp", "bf16", "i8mm", "sve")
_APPLE = {"FEAT_BF16": "bf16", "FEAT_I8MM": "i8mm", "FEAT_DotProd": "asimddp"}


@dataclass(frozen=True)
class Processor:
    """One processor, as far as products of matrices are concerned.

    Attributes:
        name: as its maker calls it.
        architecture: "x86_64", "arm64" and the like, in lower case.
        features: flags as Linux writes them, without those that ``limit`` takes away; None where nobody says.
        limit: value of ``ONEDNN_MAX_CPU_ISA``, or None.

    Example:
        >>> Processor("EPYC", "x86_64", frozenset({"avx", "avx2", "fma"})).kind
        'AVX2'
    """

    name: str
    architecture: str
    features: frozenset[str] | None
    limit: str | None = None

    @property
    def has_int8_products(self) -> bool | None:
        """Whether 8-bit products are summed in 32 bits; without, pairs of them saturate at 16 bits."""
        return self._any(_INT8)

    @property
    def has_bfloat16_products(self) -> bool | None:
        return self._any(_BFLOAT16)

    @property
    def has_avx2(self) -> bool:
        return self.features is not None and self.features >= set(_AVX2)

    @property
    def has_avx512(self) -> bool:
        return self.features is not None and self.features >= set(_AVX512)

    @property
    def kind(self) -> str:
        """The class of processors it belongs to, for figures: "AVX2", "AVX512 with VNNI, BF16", "ARM with BF16"."""
        if self.features is None:
            return self.architecture
        if self.has_avx512:
            base = "AVX512"
        elif self.has_avx2:
            base = "AVX2"
        else:
            base = {"arm64": "ARM", "aarch64": "ARM"}.get(self.architecture, f"{self.architecture} without AVX2")
        int8 = "8-bit products" if base == "ARM" else "VNNI"
        has = {int8: self.has_int8_products, "BF16": self.has_bfloat16_products, "AMX": "amx_tile" in self.features}
        extra = ", ".join(name for name, there in has.items() if there)
        return f"{base} with {extra}" if extra else base

    def shown_features(self) -> list[str]:
        """Those that decide about speed, the oldest first."""
        return [name for name in _SHOWN if name in (self.features or ())]

    def onednn_switch(self) -> str | None:
        """What :data:`ONEDNN_SWITCH` is best set to, or None where TensorFlow's own choice is best.

        TensorFlow leaves oneDNN off on x86 processors without VNNI, BF16 or AMX. With AVX2 it is faster with it
        (docs/performance.md has the figures): only then products, biases, GELU and LayerNorm are fused.
        """
        return "1" if self.has_avx2 else None

    def _any(self, wanted: frozenset[str]) -> bool | None:
        return None if self.features is None else not self.features.isdisjoint(wanted)


@cache
def this_processor() -> Processor:
    """Of this machine, under the limit that the environment sets when it is first asked for."""
    limit = next((os.environ[name].upper() for name in _LIMITS if os.environ.get(name)), None)
    features = _features()
    if features is not None and limit in _LEVELS:
        features -= _LIMITED - set(_LEVELS[limit])
    name = cpuinfo("model name") or _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()
    return Processor(name, platform.machine().lower(), features, limit if limit in _LEVELS else None)


def cpuinfo(key: str) -> str:
    """The first processor's entry in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_count() -> int:
    """NVIDIA devices of this machine."""
    try:
        names = os.listdir("/dev")
    except OSError:
        return 0
    return sum(name.startswith("nvidia") and name[6:].isdigit() for name in names)


def switch_onednn(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to add to an environment before TensorFlow is imported in it; a value that the user gave stays."""
    given = os.environ if environment is None else environment
    wanted = this_processor().onednn_switch()
    return {} if wanted is None or ONEDNN_SWITCH in given else {ONEDNN_SWITCH: wanted}


def _features() -> frozenset[str] | None:
    flags = cpuinfo("flags") or cpuinfo("Features")  # x86, ARM
    if flags:
        return frozenset(flags.split())
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return frozenset(flag for name, flag in _APPLE.items() if _sysctl(f"hw.optional.arm.{name}") == "1") | {"asimd"}
    return None


def _sysctl(name: str) -> str:
    """A value that macOS has of its machine; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip()
