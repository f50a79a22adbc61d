"""The families of tasks: what each is made of, imported when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_ft.training.options import TrainingOptions
    from bert_ft.training.task_run import TaskRun


@dataclass(frozen=True)
class Family:
    """Tasks that are trained alike.

    Attributes:
        command: name of the command that trains them, as ``python -m bert_ft.COMMAND``.
        summary: what that command does.
        options, run: "module:class", of a :class:`TrainingOptions` and the :class:`TaskRun` that takes it.
    """

    command: str
    summary: str
    options: str
    run: str

    def options_class(self) -> type[TrainingOptions]:
        return resolve_name(self.options)

    def run_class(self) -> type[TaskRun[Any]]:
        """Imports TensorFlow: seconds."""
        return resolve_name(self.run)


CLASSIFICATION = Family(
    "run_classifier",
    "Fine-tune a Google BERT checkpoint to classify texts or pairs of texts.",
    "bert_ft.tasks.classification.options:ClassificationOptions",
    "bert_ft.tasks.classification.run:ClassificationRun",
)
TAGGING = Family(
    "run_ner",
    "Fine-tune a Google BERT checkpoint to tag the entities of a text.",
    "bert_ft.tasks.tagging.options:TaggingOptions",
    "bert_ft.tasks.tagging.run:TaggingRun",
)
FAMILIES = {"ner": TAGGING}
"""By the name of the task; every other name is one of classification, which knows its own."""


def family_of(task_name: str) -> Family:
    """The family that trains a task.

    Example:
        >>> family_of("NER").command, family_of("emotion").command
        ('run_ner', 'run_classifier')
    """
    return FAMILIES.get(task_name.lower(), CLASSIFICATION)
