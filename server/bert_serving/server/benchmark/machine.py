"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bert_serving.server.processor import cpuinfo
from bert_serving.server.settings import usable_cores

_PACKAGES = ("tensorflow", "tensorflow-cpu", "openvino", "numpy", "tokenizers", "pyzmq", "matplotlib")
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    return {
        "processor": cpuinfo("model name") or platform.processor() or platform.machine(),
        "instructions": [flag for flag in _FLAGS if flag in cpuinfo("flags").split()],
        "usable_cores": usable_cores(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Of bert-ft, Python and the packages beneath."""
    from bert_ft import __version__

    found = {"bert-ft": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
