"""``python -m bert_ft.run_classifier``: Google's run_classifier.py by its flags, on packed batches."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

import sys
from typing import Any

import click

from bert_ft.data.columns import column_flag
from bert_ft.flags.legacy import AddedOption, GivenPath, LegacyCommand
from bert_ft.logs import log_to_stderr
from bert_ft.tasks.classification.files import TASKS, Columns, custom_task
from bert_ft.training.options import TrainingFlags, training_options

TASK_NAMES = (*TASKS, "tsv")
_FILE_FLAGS = ("train_file", "dev_file", "test_file", "label_column", "text_column", "text_b_column")


@click.command("run_classifier", cls=LegacyCommand)
@click.option("--task_name", required=True, help=f"One of {', '.join(TASK_NAMES)}.")
@training_options
@click.option(
    "--labels",
    cls=AddedOption,
    help="Class names in id order, parted by commas [default: those of the data].",
)
@click.option("--train_file", cls=AddedOption, type=GivenPath(), default="train.tsv", help="Task tsv: training data.")
@click.option("--dev_file", cls=AddedOption, type=GivenPath(), default="dev.tsv", help="Task tsv: development data.")
@click.option("--test_file", cls=AddedOption, type=GivenPath(), default="test.tsv", help="Task tsv: test data.")
@click.option(
    "--label_column", cls=AddedOption, type=column_flag, default=0, help="Task tsv: label, by name or number from 0."
)
@click.option("--text_column", cls=AddedOption, type=column_flag, default=1, help="Task tsv: text, likewise.")
@click.option("--text_b_column", cls=AddedOption, type=column_flag, help="Task tsv: a pair's second text, likewise.")
def main(task_name: str, labels: str | None, **values: Any) -> None:
    """Fine-tune a Google BERT checkpoint to classify texts or pairs of texts."""
    log_to_stderr()
    name = task_name.lower()
    if name not in TASK_NAMES:
        raise click.BadParameter(f"task_name {task_name!r} is not one of {', '.join(TASK_NAMES)}")
    file_flags = {flag: values[flag] for flag in _FILE_FLAGS} if name == "tsv" else {}
    if name == "tsv":
        columns = Columns(values["text_column"], values["text_b_column"], values["label_column"])
        files = custom_task(values["train_file"], values["dev_file"], values["test_file"], columns)
    else:
        files = TASKS[name]
    flags = TrainingFlags.resolve(values)
    from bert_ft.tasks.classification.run import ClassificationRun  # imports TensorFlow: seconds

    given = [label.strip() for label in labels.split(",")] if labels else None
    sys.exit(ClassificationRun(name, files, given, flags, file_flags).run())


if __name__ == "__main__":
    main()
