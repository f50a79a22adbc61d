"""``python -m bert_ft.run_ner``: fine-tune a Google BERT checkpoint to find entities."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

import sys
from typing import Any

import click

from bert_ft.flags.legacy import LegacyCommand
from bert_ft.logs import log_to_stderr
from bert_ft.tasks.tagging.rates import TaggingFlags, tagging_options
from bert_ft.training.options import TrainingFlags, training_options

TASK_NAMES = ("ner",)


@click.command("run_ner", cls=LegacyCommand)
@click.option("--task_name", default="ner", help="ner, or another name to be recorded for the model.")
@training_options
@tagging_options
def main(task_name: str, **values: Any) -> None:
    """Fine-tune a Google BERT checkpoint to tag the entities of a text."""
    log_to_stderr()
    flags, tagging = TrainingFlags.resolve(values), TaggingFlags.resolve(values)
    from bert_ft.tasks.tagging.run import TaggingRun  # imports TensorFlow: seconds

    sys.exit(TaggingRun(task_name, flags, tagging).run())


if __name__ == "__main__":
    main()
