"""``bert-ft-train``: the command of the task that --task_name names."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bert_ft import run_classifier, run_ner


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the command line to run_ner for ``--task_name=ner``, else to run_classifier, which knows the others."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = run_ner.main if _task_name(given) in run_ner.TASK_NAMES else run_classifier.main
    command(given, prog_name="bert-ft-train")


def _task_name(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        name, has_value, value = argument.lstrip("-").replace("-", "_").partition("=")
        if argument.startswith("-") and name and "task_name".startswith(name):
            following = arguments[place + 1] if place + 1 < len(arguments) else None
            return (value if has_value else following or "").lower()
    return None
