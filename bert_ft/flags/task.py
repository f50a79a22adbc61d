"""The command of a family of tasks, made from its options."""

from __future__ import annotations

import sys
from dataclasses import MISSING, Field, fields
from typing import Any

import click

from bert_ft.flags.legacy import AddedOption, GivenPath, LegacyCommand
from bert_ft.flags.ranges import number
from bert_ft.logs import log_to_stderr
from bert_ft.tasks.table import Family
from bert_ft.training.kinds import FILE, FOLDER, SWITCH, Choice, Kind, Number, OptionError
from bert_ft.training.options import TrainingOptions

_GOOGLES = {one.name for one in fields(TrainingOptions)} - {"seed", "on_bad_row", "resume", "overwrite"}


def task_command(family: Family) -> LegacyCommand:
    """``python -m bert_ft.run_classifier`` and the like: an option of the command for each of the family's.

    The command exits with the status of the run. Making it imports the options, but nothing slow.
    """
    options = family.options_class()

    def train(**values: Any) -> None:
        log_to_stderr()
        try:
            given = options(**{name: value for name, value in values.items() if value is not None})
        except OptionError as error:
            raise click.BadParameter(str(error)) from None
        sys.exit(family.run_class()(given).run())

    params: list[click.Parameter] = [_flag(one) for one in fields(options)]
    return LegacyCommand(family.command, params=params, callback=train, help=family.summary)


def _flag(one: Field[Any]) -> click.Option:
    kind: Kind = one.metadata["kind"]
    details: dict[str, Any] = {"type": _type(kind), "help": one.metadata["help"]}
    if kind is SWITCH:
        details |= {"is_flag": False, "flag_value": "true"}
    elif one.default is MISSING:
        details["required"] = True
    else:
        details["default"] = one.default
    return (click.Option if one.name in _GOOGLES else AddedOption)([f"--{one.name}"], **details)


def _type(kind: Kind) -> click.ParamType:
    if isinstance(kind, Choice):
        return click.Choice(kind.names)
    if isinstance(kind, Number):
        return number(kind)
    if kind in (FILE, FOLDER):
        return GivenPath()
    return click.BOOL if kind is SWITCH else click.STRING
