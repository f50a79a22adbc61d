"""The options that classification has beside the shared ones."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Any

from bert_ft.data.columns import Column
from bert_ft.tasks.classification.files import TASKS, Columns, TaskFiles, custom_task
from bert_ft.training.kinds import COLUMN, FILE, NAMES, TEXT, OptionError, option
from bert_ft.training.options import TrainingOptions

CUSTOM = "tsv"
TASK_NAMES = (*TASKS, CUSTOM)
_FILE_OPTIONS = ("train_file", "dev_file", "test_file", "label_column", "text_column", "text_b_column")


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(TrainingOptions):
    """What a training of a classifier shall do.

    ``task_name`` is held in lower case; ``labels`` may also be one string with commas.
    """

    task_name: str = option(MISSING, TEXT, f"One of {', '.join(TASK_NAMES)}.", fixed=True)
    labels: list[str] | None = option(
        None, NAMES, "Class names in id order, parted by commas [default: those of the data]."
    )
    train_file: str = option("train.tsv", FILE, "Task tsv: training data.")
    dev_file: str = option("dev.tsv", FILE, "Task tsv: development data.")
    test_file: str = option("test.tsv", FILE, "Task tsv: test data.")
    label_column: Column = option(0, COLUMN, "Task tsv: label, by name or number from 0.")
    text_column: Column = option(1, COLUMN, "Task tsv: text, likewise.")
    text_b_column: Column | None = option(None, COLUMN, "Task tsv: a pair's second text, likewise.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task_name.lower() not in TASK_NAMES:
            raise OptionError(f"task_name {self.task_name!r} is not one of {', '.join(TASK_NAMES)}")
        self._set("task_name", self.task_name.lower())

    @property
    def files(self) -> TaskFiles:
        """The task's files and their columns."""
        if self.task_name != CUSTOM:
            return TASKS[self.task_name]
        columns = Columns(self.text_column, self.text_b_column, self.label_column)
        return custom_task(self.train_file, self.dev_file, self.test_file, columns)

    def record(self) -> dict[str, Any]:
        """As of all trainings; the file options where they were read."""
        unread = () if self.task_name == CUSTOM else _FILE_OPTIONS
        return {name: value for name, value in super().record().items() if name not in unread}
