"""Figures of one engine over all rounds, and the table of all."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import least_cosine, markdown_table
from benchmarks.peers.worker_process import WorkerProcess

KEPT_SIZES = 2


class Roof:
    """Rates of a large matrix product over a second, once a round: ``best`` and ``median``, GFLOP/s."""

    def __init__(self, precision: str, worker: WorkerProcess) -> None:
        self.precision = precision
        self.worker = worker
        self.rates: dict[str, list[float]] = {"best": [], "median": []}

    def turn(self) -> None:
        for kind, rate in self.worker.ask(run="roof").items():
            self.rates[kind].append(rate)


class Measured:
    """One engine in one precision.

    Attributes:
        seconds: by batch size, of each round.
    """

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._tried: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = {}
        self._distance: dict[str, float] = {}

    def scout(self, pause: float) -> None:
        """Try every batch size once, after a pass that does not count; keep the quickest."""
        sizes: list[str] = self._worker.specification["sizes"]
        self._worker.ask(run=sizes[0])
        for size in sizes:
            time.sleep(pause)
            self._tried[size] = self._worker.ask(run=size)["seconds"]
        self.seconds = {size: [] for size in sorted(sizes, key=self._tried.__getitem__)[:KEPT_SIZES]}

    def compare(self, reference: np.ndarray, file: Path) -> None:
        """Take the vectors of the size that seems best."""
        self._worker.ask(vectors=next(iter(self.seconds)), into=str(file))
        vectors = np.load(file)
        self._distance = {
            "least_cosine": least_cosine(vectors, reference),
            "largest_difference": float(np.abs(vectors - reference).max()),
        }

    def turn(self) -> None:
        for size, times in self.seconds.items():
            times.append(self._worker.ask(run=size)["seconds"])

    def record(self, tokens: int, flops_per_token: float, roofs: list[Roof]) -> dict[str, Any]:
        """All figures; tokens/s of each round are those of the size with the best median."""
        best = min(self.seconds, key=lambda size: statistics.median(self.seconds[size]))
        rates = [tokens / seconds for seconds in self.seconds[best]]
        name, precision = self._worker.name.rsplit(" ", 1)
        roof = next((roof.rates for roof in roofs if roof.precision == precision), {})
        shares = {
            kind: [rate * flops_per_token / 1e9 / top for rate, top in zip(rates, tops, strict=True)]
            for kind, tops in roof.items()
        }
        return {
            "engine": name, "precision": precision, "version": self._worker.version, "batch": best,
            "tokens_per_second": rates, "share_of_roof": shares, "seconds_by_batch": self.seconds,
            "seconds_tried_once": self._tried, **self._distance,
        }  # fmt: skip


def markdown(result: dict[str, Any]) -> str:
    """The table, with a line of circumstances above it."""
    ours = {one["precision"]: one["tokens_per_second"] for one in result["engines"] if one["engine"] == "ours"}
    roofs = ", ".join(
        f"{precision} {' / '.join(f'{statistics.median(rates):.0f}' for rates in by_kind.values())}"
        for precision, by_kind in result["roofs_gflops"].items()
    )
    above = (
        f"{result['texts']} texts, {result['tokens']} tokens, mean length {result['mean_length']:.1f}; "
        f"{result['threads']} threads; {result['runs']} rounds; "
        f"roof, best / median product, GFLOP/s: {roofs or 'not measured'}"
    )
    head = (
        "| engine | precision | best batch | tokens/s | least-most | share of roof | ours / it | least cosine | "
        "largest difference |"
    )
    rows = []
    for one in result["engines"]:
        rates, shares = one["tokens_per_second"], one["share_of_roof"]
        mine = ours.get(one["precision"])
        ratio = statistics.median(a / b for a, b in zip(mine, rates, strict=True)) if mine else None
        rows.append([
            f"{one['engine']} ({one['version']})", one["precision"],
            f"{one['batch']} tokens" if one["engine"].startswith("ours") else f"{one['batch']} texts",
            f"{statistics.median(rates):.0f}", f"{min(rates):.0f}-{max(rates):.0f}",
            " / ".join(f"{statistics.median(each):.1%}" for each in shares.values()),
            f"{ratio:.2f}" if ratio else "",
            f"{one['least_cosine']:.6f}", f"{one['largest_difference']:.1e}",
        ])  # fmt: skip
    return f"{above}\n\n{markdown_table(head, rows)}"
