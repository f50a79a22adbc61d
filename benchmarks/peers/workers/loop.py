"""What every worker has in common: questions on standard input, answers on standard output, a JSON object a line.

A worker is a script run as ``PYTHON SCRIPT SPECIFICATION.json``; the specification has ``tokens`` (an .npz of ``ids``
int32 [T] and ``lengths`` int32 [B], B inputs laid end to end, with special tokens, segment 0), ``threads``,
``precision``, ``sizes`` (names of the ways in which it may cut its input into batches) and what else the script needs.
Only numpy is needed here, since this runs in every environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Batch = tuple[np.ndarray, Any]

# Some libraries print; nothing of that may come between the answers.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def specification() -> dict[str, Any]:
    return json.loads(Path(sys.argv[1]).read_text())


def inputs(spec: dict[str, Any]) -> list[np.ndarray]:
    """The ids of each input, int32 [L]."""
    stored = np.load(spec["tokens"])
    return np.split(stored["ids"], np.cumsum(stored["lengths"])[:-1])


def padded_batches(texts: list[np.ndarray], size: int) -> list[Batch]:
    """Inputs sorted by length in batches of ``size``: their numbers, then ids and mask, int64 [size, longest]."""
    order = np.argsort([len(text) for text in texts], kind="stable")[::-1]
    batches = []
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        ids = np.zeros((len(chosen), max(len(texts[index]) for index in chosen)), np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(chosen):
            ids[row, : len(texts[index])] = texts[index]
            mask[row, : len(texts[index])] = 1
        batches.append((chosen, (ids, mask)))
    return batches


def serve(version: str, batches: dict[str, list[Batch]], run: Callable[[str, list[Any]], list[np.ndarray]]) -> None:
    """Answer until standard input ends.

    ``{"run": SIZE}`` → ``{"seconds": …}`` for one pass over all inputs; ``{"vectors": SIZE, "into": FILE}`` → ``{}``,
    with float32 [B, hidden] in the order given in the file.

    Args:
        batches: by size, each batch with the numbers of its inputs.
        run: takes a size and its batches; returns float32 [b, hidden] for each.
    """
    _say({"ready": version})
    for line in sys.stdin:
        question = json.loads(line)
        size = question.get("run") or question["vectors"]
        began = time.perf_counter()
        parts = run(size, [batch for _, batch in batches[size]])
        seconds = time.perf_counter() - began
        if "vectors" in question:
            order = np.concatenate([numbers for numbers, _ in batches[size]])
            np.save(question["into"], np.concatenate(parts)[np.argsort(order)].astype(np.float32))
            _say({})
        else:
            _say({"seconds": seconds})


def _say(answer: dict[str, Any]) -> None:
    _answers.write(json.dumps(answer) + "\n")
    _answers.flush()
