"""``bert-ft-train``: the command of the task that --task_name names."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bert_ft.flags.task import task_command
from bert_ft.tasks.table import CLASSIFICATION, family_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the command line to the command of the task's family; without a task it is classification's to complain."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = task_command(CLASSIFICATION)
    family = family_of(command.value_given(given, "task_name") or "")
    (command if family is CLASSIFICATION else task_command(family))(given, prog_name="bert-ft-train")
