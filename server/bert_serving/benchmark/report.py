"""The measurement as tables, which are Markdown too, and as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from bert_serving.benchmark.machine import machine, versions
from bert_serving.benchmark.measure import Measurement
from bert_serving.benchmark.options import server_arguments
from bert_serving.benchmark.peak import flop_per_token, roof_precision
from bert_serving.benchmark.plan import ALONE, BESIDE, BULK, BULK_BESIDE, MANY, Axis, Plan, Point
from bert_serving.benchmark.sample import spread, summary

_MIXED = {
    "p99 beside bulk / p99 alone": ("latency_p99_ms", BESIDE, ALONE),
    "bulk rate beside one / bulk rate alone": ("texts_per_second", BULK_BESIDE, BULK),
    "rate of many / bulk rate alone": ("texts_per_second", MANY, BULK),
}


@dataclass
class Report:
    """What was measured, for people and for programs."""

    plan: Plan
    measurement: Measurement
    date: datetime = field(default_factory=lambda: datetime.now(timezone.utc).astimezone())

    def tables(self) -> str:
        """One table an axis, and the lines that say what its figures are."""
        return "\n\n".join([self._head(), *(self._section(axis) for axis in self.plan.axes), *self._remarks()]) + "\n"

    def to_json(self) -> str:
        """Every figure of every repeat, and where it comes from."""
        measurement, workload, options = self.measurement, self.plan.workload, self.plan.options
        config = self.plan.settings.directory.config
        roof = {
            "precision": roof_precision(options.server.precision),
            "gflops": measurement.roof_gflops,
            "flop_per_token": flop_per_token(config, options.server),
        }
        content = {
            "date": self.date.isoformat(timespec="seconds"),
            "command": sys.argv,
            "machine": machine(),
            "versions": versions(),
            "flags": asdict(options),
            "server_arguments": server_arguments(options.server),
            "server_config": measurement.config,
            "model": asdict(config),
            "workload": {"source": workload.source, "texts": len(workload.texts), "pieces": workload.lengths},
            "ready_seconds": measurement.ready_seconds,
            "roof": roof if measurement.roof_gflops else None,
            "axes": [
                {"axis": axis.name, "held": axis.held, "points": [_point(point) for point in axis.points]}
                for axis in self.plan.axes
            ],
            "mixed": next((mixed_ratios(axis) for axis in self.plan.axes if axis.name == "mixed"), None),
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def _head(self) -> str:
        place, software, workload = machine(), versions(), self.plan.workload
        lengths = workload.lengths
        ready = spread(self.measurement.ready_seconds)
        lines = [
            f"bert-ft {software['bert-ft']}, TensorFlow {'.'.join(self.measurement.config['tensorflow_version'])}, "
            f"Python {software['python']}; {place['processor']} ({place['kind']}), {place['usable_cores']} cores; "
            f"{self.date:%Y-%m-%d %H:%M %z}",
            f"server: {self._flags()}; ready after {ready['median']:.1f} s",
            f"texts: {len(workload.texts)} from {workload.source}; pieces: mean {lengths['mean']:.1f}, "
            f"median {lengths['p50']:g}, 90 % up to {lengths['p90']:g}, {lengths['min']} to {lengths['max']}",
        ]
        if roofs := self.measurement.roof_gflops:
            lines.append(
                f"roof: {roof_precision(self.plan.options.server.precision)} matrix product, best of {len(roofs)} runs "
                f"{max(roofs):.0f} GFLOP/s, worst {min(roofs):.0f}"
            )
        return "\n".join(f"- {line}" for line in lines)

    def _flags(self) -> str:
        server = self.plan.options.server
        layers = "" if server.pooling_strategy.needs_pooler else f" of layer {' '.join(map(str, server.pooling_layer))}"
        workers = f"{server.num_worker} worker{'s' * (server.num_worker > 1)}"
        return f"{server.model_dir}, {server.precision}, {workers}, {server.pooling_strategy.name}{layers}"

    def _section(self, axis: Axis) -> str:
        head = [axis.name, "texts/s", "min-max", "tokens/s", "p50 ms", "p90 ms", "p99 ms"]
        head += ["requests", "errors", "client CPU"]
        head += ["memory MB"] * _has(axis, "memory_mb") + ["of roof"] * _has(axis, "roof_share")
        parts = [f"## {axis.name}", axis.held, _table([head, *(_row(point, head) for point in axis.points)])]
        if axis.name == "mixed":
            ratios = mixed_ratios(axis).items()
            lines = [f"- {name}: {r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})" for name, r in ratios]
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _remarks(self) -> list[str]:
        repeats = self.plan.options.num_repeat
        lines = [
            f"Each figure is the median of {repeats} repeat{'s' * (repeats > 1)}; min-max is of texts/s. Latencies are "
            "of requests, requests are those of all repeats. Errors end a run, so there are none.",
            "Tokens are word pieces with [CLS] and [SEP]. Client CPU is the clients' share of all cores, memory the "
            "sum of the proportional set sizes of the server's processes.",
        ]
        if self.measurement.roof_gflops:
            lines.append(
                "Of roof: the multiplications and additions of the layers' weights as a share of what a large matrix "
                "product reaches, the better of one before and one after. Attention's own products are not counted."
            )
        points = [point for axis in self.plan.axes for point in axis.points]
        if busy := [point.label for point in points if max(s.client_share for s in point.samples) > 0.1]:
            lines.append(
                f"The clients took more than 10 % of the cores at {', '.join(busy)}: the server would be faster."
            )
        return lines


def mixed_ratios(axis: Axis) -> dict[str, dict[str, float]]:
    """Median and spread of the ratios within each repeat."""
    points = {point.label: point.samples for point in axis.points}
    return {
        name: spread(
            [getattr(a, figure) / getattr(b, figure) for a, b in zip(points[above], points[below], strict=True)]
        )
        for name, (figure, above, below) in _MIXED.items()
    }


def _point(point: Point) -> dict[str, Any]:
    repeats = [asdict(sample) for sample in point.samples]
    return {"label": point.label, "value": point.value, "summary": summary(point.samples), "repeats": repeats}


def _row(point: Point, head: list[str]) -> list[str]:
    median = point.median
    rate = spread([sample.texts_per_second for sample in point.samples])
    row = [
        point.label,
        f"{rate['median']:.1f}",
        f"{rate['min']:.1f}-{rate['max']:.1f}",
        f"{median('tokens_per_second'):.0f}",
        *(f"{median(f'latency_p{percent}_ms'):.1f}" for percent in (50, 90, 99)),
        str(sum(sample.requests for sample in point.samples)),
        str(sum(sample.errors for sample in point.samples)),
        f"{median('client_share'):.1%}",
    ]
    if "memory MB" in head:
        row.append(f"{median('memory_mb'):.0f}")
    if "of roof" in head:
        row.append(f"{median('roof_share'):.1%}")
    return row


def _has(axis: Axis, name: str) -> bool:
    return all(getattr(sample, name) is not None for point in axis.points for sample in point.samples)


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        return f"| {' | '.join([first, *(cell.rjust(w) for cell, w in zip(cells[1:], widths[1:], strict=True))])} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
