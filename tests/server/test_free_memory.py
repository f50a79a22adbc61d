"""Free memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bert_serving.server.process.free_memory import EVERY_SECONDS, MemoryTrim

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's; elsewhere nothing is done")

IN_A_PROCESS_OF_ITS_OWN = """
from pathlib import Path
from bert_serving.server.process.free_memory import MemoryTrim

def resident():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

trim = MemoryTrim()
blocks = [bytearray(60_000) for _ in range(2000)]
kept = blocks[-1]  # lies above the others: what is below it stays with malloc
full = resident()
del blocks
freed = resident()
trim()
print(full, freed, resident())
"""


def test_what_is_free_below_a_block_in_use_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN], capture_output=True, text=True, check=True)
    full, freed, trimmed = map(int, done.stdout.split())
    assert full - freed < 20_000  # kB: the case that it is for
    assert full - trimmed > 100_000


def test_at_most_every_five_seconds() -> None:
    now = 100.0
    trim = MemoryTrim(lambda: now)
    assert trim()
    now += EVERY_SECONDS - 0.1
    assert not trim()
    now += 0.2
    assert trim()
    assert not trim()
