"""What the figures were measured on."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bert_ft.hardware.processor import this_processor, usable_cores

_PACKAGES = ("tensorflow", "tensorflow-cpu", "openvino", "numpy", "tokenizers", "pyzmq", "matplotlib")


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    processor = this_processor()
    return {
        "processor": processor.name,
        "kind": processor.kind,
        "instructions": processor.shown_features(),
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
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
