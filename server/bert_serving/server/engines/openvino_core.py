"""The one ``openvino.Core`` of a process.

Each Core's processor plugin gives the thread that made it a signal stack of its own, and puts back the one before when
it goes. Where an older Core went first that one is unmapped by then, and the next signal ends the process.
"""

from __future__ import annotations

from functools import cache

import openvino as ov


@cache
def core() -> ov.Core:
    return ov.Core()
