"""The command bert-serving-benchmark."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import click
from bert_serving.benchmark import plot
from bert_serving.benchmark.measure import Measurement
from bert_serving.benchmark.options import DEFAULT_PLOT, BenchmarkOptions, benchmark_options
from bert_serving.benchmark.plan import Plan
from bert_serving.benchmark.report import Report
from bert_serving.benchmark.server_process import with_free_ports
from bert_serving.benchmark.workload import load_workload
from bert_serving.server.settings import resolve

from bert_ft.errors import BertFtError
from bert_ft.files.lines import replaced_lines
from bert_ft.flags.legacy import LegacyCommand, OneLineError, signal_status


def _run(**values: Any) -> None:
    options = BenchmarkOptions.from_flags(values)
    picture = _picture(options)
    for path in filter(None, (options.json, picture)):
        _check_place(path)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        run_benchmark(options, picture)
    except KeyboardInterrupt as interrupt:
        line = "interrupted: the server is stopped, nothing is written"
        raise OneLineError(line, signal_status(interrupt)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def run_benchmark(options: BenchmarkOptions, picture: str | None) -> None:
    """Check, measure, print the tables, write JSON and picture.

    Raises:
        BertFtError: something the user can mend, or a fault of the server under load.
    """
    settings = resolve(with_free_ports(options.server))
    plan = Plan(options, settings, load_workload(options, settings))
    for name in options.without_effect:
        _say(f"-{name} has no effect: the server listens at 127.0.0.1 for this benchmark's clients, without keys")
    for note in plan.notes:
        _say(note)
    if picture is None:
        _say(f"no plot: matplotlib is not installed; {plot.INSTALL}")
    starts = len(plan.sessions) * options.num_repeat
    loads = plan.loads * options.num_repeat
    _say(f"{loads} loads of {options.seconds:g} s or longer requests; the server is started {starts} times")
    measurement = Measurement(plan, _say)
    measurement.run()
    report = Report(plan, measurement)
    click.echo(report.tables())
    with replaced_lines(options.json) as write:
        write(report.to_json())
    written = options.json
    if picture is not None:
        plot.plot(plan.axes, f"{Path(options.server.model_dir).resolve().name}, {options.server.precision}", picture)
        written += f" and {picture}"
    _say(f"written: {written}")


def _picture(options: BenchmarkOptions) -> str | None:
    """Where the plot goes; None for none."""
    if not plot.can_plot():
        if options.plot is not None:
            raise BertFtError(f"-plot needs matplotlib: {plot.INSTALL}")
        return None
    picture = options.plot or DEFAULT_PLOT
    plot.check_format(picture)
    return picture


def _check_place(path: str) -> None:
    """See before the work that its result can be kept."""
    place = Path(path)
    if place.is_dir() or not place.resolve().parent.is_dir() or not os.access(place.resolve().parent, os.W_OK):
        raise BertFtError(f"{path}: cannot be written; give the name of a file in a folder that can")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def _say(line: str) -> None:
    click.echo(line, err=True)


benchmark = LegacyCommand(
    "bert-serving-benchmark",
    params=list(benchmark_options()),
    callback=_run,
    help="Start a server, load it with one client or many, and report throughput, latency, memory and the share of the "
    "processor's roof that was reached. Axes that are named are swept one at a time; if none is, all but -test_mixed.",
)
