"""Ranges of numbers on command lines: what lies outside is a wrong command line, not a fault somewhere later."""

from __future__ import annotations

import math
from typing import Any

import click

from bert_ft.training import kinds


class Between(click.FloatRange):
    """The numbers between two bounds, and not NaN, which is neither below the one nor above the other."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


def number(kind: kinds.Number) -> click.ParamType:
    """The type of an option for such numbers."""
    form = click.IntRange if kind.type is int else Between
    return form(kind.minimum, kind.maximum, kind.min_open, kind.max_open)


COUNT = number(kinds.COUNT)
SEED = number(kinds.SEED)
