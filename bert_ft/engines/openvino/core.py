"""The one ``openvino.Core`` of a process.

Each Core's processor plugin gives the thread that made it a signal stack of its own, and puts back the one before when
it goes. Where an older Core went first that one is unmapped by then, and the next signal ends the process.
"""

from __future__ import annotations

from functools import cache

import openvino as ov

from bert_ft.hardware.processor import this_processor


@cache
def core() -> ov.Core:
    return ov.Core()


def has_bfloat16() -> bool:
    """Whether there are products in bfloat16: OpenVINO must know of them, and oneDNN's limit must not forbid them."""
    known = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return known and this_processor().has_bfloat16_products is not False
