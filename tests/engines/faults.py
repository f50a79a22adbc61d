"""Faults on demand, for tests of everything around an engine."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Mapping

import numpy as np

from bert_ft.errors import BertFtError
from bert_ft.text.packing import PackedBatch

_ROOM_BYTES = 256 << 20


class Faults:
    """What goes wrong, by keys of an engine's ``extra`` options.

    At the start: ``fail`` (its message), ``die_at_start`` (any value), ``load_seconds``. With each batch:
    ``batch_seconds``; and when a token id is in it, ``sleep_id`` with ``sleep_seconds``, ``crash_id`` (the process
    kills itself), ``memory_id`` (it takes memory until there is none), ``error_id`` (an exception, with a path in it).
    """

    def __init__(self, extra: Mapping[str, str]) -> None:
        self._extra = extra

    def at_start(self) -> None:
        if "die_at_start" in self._extra:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in self._extra:
            raise BertFtError(self._extra["fail"])
        time.sleep(float(self._extra.get("load_seconds", 0)))

    def before(self, batch: PackedBatch) -> None:
        """Called with each batch before it is run."""
        time.sleep(float(self._extra.get("batch_seconds", 0)))
        if self._has("sleep_id", batch):
            time.sleep(float(self._extra["sleep_seconds"]))
        if self._has("crash_id", batch):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._has("memory_id", batch):
            _use_up_memory()
        if self._has("error_id", batch):
            raise RuntimeError(f"fault injected by error_id in {__file__}")

    def _has(self, key: str, batch: PackedBatch) -> bool:
        return key in self._extra and int(self._extra[key]) in batch.ids


def _use_up_memory() -> None:
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM_BYTES, resource.RLIM_INFINITY))
    taken = []
    while True:
        taken.append(np.ones(_ROOM_BYTES // 32, np.int32))
