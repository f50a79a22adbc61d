"""What values options take, from Python as on a command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol

from bert_ft.data.columns import Column, column_flag
from bert_ft.errors import BertFtError


class OptionError(BertFtError):
    """An option that does not exist, or a value that it does not take."""


NOT_OF_THE_KIND = (TypeError, ValueError, KeyError, OverflowError)


class Kind(Protocol):
    """A kind of value."""

    @property
    def description(self) -> str:
        """What a value must be, as it is told to who gave another."""

    @property
    def convert(self) -> Callable[[Any], Any]:
        """Gives the value as the options hold it; raises what :data:`NOT_OF_THE_KIND` lists where it is no such one."""


@dataclass(frozen=True)
class Plain:
    """A kind without parameters."""

    description: str
    convert: Callable[[Any], Any]


@dataclass(frozen=True)
class Choice:
    """One of some names."""

    names: tuple[str, ...]

    @property
    def description(self) -> str:
        return f"one of {', '.join(self.names)}"

    def convert(self, value: Any) -> str:
        return self.names[self.names.index(value)]


@dataclass(frozen=True)
class Number:
    """An int or a float between two bounds, which belong to the range where it is not open there; never NaN."""

    type: type[int] | type[float]
    minimum: int | None = None
    maximum: int | None = None
    min_open: bool = False
    max_open: bool = False

    @property
    def description(self) -> str:
        below = "" if self.minimum is None else f"{self.minimum}{'<' if self.min_open else '<='}"
        above = "" if self.maximum is None else f"{'<' if self.max_open else '<='}{self.maximum}"
        name = "an integer" if self.type is int else "a number"
        return f"{name} in the range {below}x{above}" if below or above else name

    def convert(self, value: Any) -> int | float:
        wanted: Any = Integral if self.type is int else Real
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise TypeError
        number = self.type(value)
        low, high = self.minimum, self.maximum
        above = low is None or number > low or (number == low and not self.min_open)
        below = high is None or number < high or (number == high and not self.max_open)
        if not (above and below):
            raise ValueError
        return number


def option(default: Any, kind: Kind, help: str, fixed: bool = False) -> Any:
    """A field of a dataclass of options.

    Args:
        default: None where something else is then taken, as ``help`` says; MISSING where one must be given.
        fixed: it must be the same for a training to be resumed.
    """
    return field(default=default, metadata={"kind": kind, "help": help, "fixed": fixed})


def _file(value: Any) -> str:
    name = os.fsdecode(value)
    if not name.strip():
        raise ValueError
    return name


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value: Any) -> list[str] | None:
    """Of a list, or of a string with commas between; none at all are as if not given."""
    names = value.split(",") if isinstance(value, str) else value
    return [_text(name).strip() for name in names] if value else None


def _column(value: Any) -> Column:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError
    return column_flag(value)


SWITCH = Plain("True or False", {True: True, False: False}.__getitem__)
TEXT = Plain("a string", _text)
NAMES = Plain("a list of names", _names)
FILE = Plain("a path", _file)
FOLDER = Plain("a path", lambda value: Path(_file(value)))
COLUMN = Plain("a column's name, or its number from 0", _column)
COUNT = Number(int, 1, 2**31 - 1)
SEED = Number(int, 0, 2**63 - 1)
"""What TensorFlow's generators take."""
LEARNING_RATE = Number(float, 0, 1000, min_open=True)
EPOCHS = Number(float, 0, 1_000_000)
SOME_EPOCHS = Number(float, 0, 1_000_000, min_open=True)
