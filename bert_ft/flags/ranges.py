"""Ranges of numbers on command lines: what lies outside is a wrong command line, not a fault somewhere later."""

from __future__ import annotations

import math
from typing import Any

import click


class Between(click.FloatRange):
    """The numbers between two bounds, and not NaN, which is neither below the one nor above the other."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


COUNT = click.IntRange(1, 2**31 - 1)
SEED = click.IntRange(0, 2**63 - 1)
"""What TensorFlow's generators take."""
LEARNING_RATE = Between(0, 1000, min_open=True)
EPOCHS = Between(0, 1_000_000)
SOME_EPOCHS = Between(0, 1_000_000, min_open=True)
