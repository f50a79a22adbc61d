"""Result files: Google's eval_results.txt and test_results.tsv, and metrics.json; each is written whole or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.files.lines import replaced_lines


def write_eval_results(path: Path, values: Mapping[str, float | int]) -> None:
    """``key = value`` lines in the order of the keys."""
    lines = [f"{key} = {values[key]}\n" for key in sorted(values)]
    with replaced_lines(str(path)) as write:
        write("".join(lines))


def write_test_results(path: Path, probabilities: Iterable[np.ndarray]) -> None:
    """One line an example, written as it comes: the classes' probabilities, float [num_labels], parted by tabs."""
    with replaced_lines(str(path)) as write:
        for row in probabilities:
            write("\t".join(map(repr, row.tolist())) + "\n")


def write_json(path: Path, value: Any) -> None:
    with replaced_lines(str(path)) as write:
        write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
