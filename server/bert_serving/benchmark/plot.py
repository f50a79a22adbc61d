"""The picture of a benchmark: a panel an axis."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bert_serving.benchmark.plan import Axis

from bert_ft.errors import BertFtError

INSTALL = "pip install 'bert-ft[benchmark]'"
_COLUMNS = 3
_PANEL_INCHES = (5.0, 3.4)
_RATE, _P50, _P99 = "tab:blue", "tab:orange", "tab:red"


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def check_format(path: str) -> None:
    """
    Raises:
        BertFtError: matplotlib writes no such files.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = FigureCanvasAgg.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise BertFtError(
            f"-plot {path}: give a name that ends in one of {', '.join(f'.{name}' for name in sorted(known))}"
        )


def plot(axes: list[Axis], title: str, path: str) -> None:
    """Draw texts a second (tokens a second on the axis of length) and p50 and p99 of each axis.

    Bars of throughput reach from the smallest to the largest of the repeats.

    Raises:
        BertFtError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(axes))
    rows = math.ceil(len(axes) / columns)
    figure = Figure(figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    drawn = [_draw(axis, panel) for axis, panel in zip(axes, panels, strict=False)]
    figure.legend(handles=drawn[0], loc="outside lower center", ncols=3, fontsize=9)
    for panel in panels[len(axes) :]:
        panel.set_visible(False)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise BertFtError(f"-plot {path}: cannot be written: {error.strerror or error}") from None


def _draw(axis: Axis, panel: Any) -> list[Any]:
    """Returns what the legend explains."""
    from matplotlib.ticker import LogLocator, NullFormatter

    places = range(len(axis.points))
    # the points of mixed load have no order, and stand side by side where others would be joined by a line
    line, shift = ("", 0.12) if axis.name == "mixed" else ("-", 0.0)
    rate, unit = ("tokens_per_second", "tokens/s") if axis.name == "max_seq_len" else ("texts_per_second", "texts/s")
    rates = [[getattr(sample, rate) for sample in point.samples] for point in axis.points]
    middle = [point.median(rate) for point in axis.points]
    bars = [
        [one - min(values) for one, values in zip(middle, rates, strict=True)],
        [max(values) - one for one, values in zip(middle, rates, strict=True)],
    ]
    left = [place - shift for place in places]
    drawn = [panel.errorbar(left, middle, yerr=bars, fmt=f"o{line}", color=_RATE, capsize=3, label="throughput")]
    panel.set_ylim(0, 1.12 * max(map(max, rates)))
    panel.set_ylabel(unit, color=_RATE)
    panel.set_title(axis.name, fontsize=10)
    panel.set_xticks(places, [point.label.replace(" ", "\n") for point in axis.points])
    times = panel.twinx()
    for percent, colour in ((50, _P50), (99, _P99)):
        values = [point.median(f"latency_p{percent}_ms") for point in axis.points]
        right = [place + shift for place in places]
        drawn += times.plot(right, values, f"s{line}", color=colour, label=f"p{percent} of a request")
    times.set_yscale("log")
    times.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    times.yaxis.set_major_formatter("{x:g}")
    times.yaxis.set_minor_formatter(NullFormatter())
    times.margins(y=0.12)
    times.set_ylabel("ms")
    return drawn
