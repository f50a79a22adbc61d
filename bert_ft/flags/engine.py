"""The flags of commands that run a model: what computes, and in which number format; the server has the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bert_ft.engines import ENGINES
from bert_ft.engines.selection import PRECISIONS
from bert_ft.hardware.choice import AUTO


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a click command with ``--precision`` and ``--engine``."""
    engine = click.option(
        "--engine",
        metavar="|".join((AUTO, *ENGINES, "MODULE:CLASS")),
        default=AUTO,
        help="Library that computes; auto: openvino where it is installed and faster, and for int8.",
    )
    precision = click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="fp32",
        help="Number format of weights and products; auto: bf16 where the processor multiplies it, else fp32.",
    )
    return precision(engine(command))
