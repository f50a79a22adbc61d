"""The tasks there are; a new one is a file beside this and an entry in :data:`TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_serving.server.tasks.classify import Classify
from bert_serving.server.tasks.encode import Encode
from bert_serving.server.tasks.request import check_one_of
from bert_serving.server.tasks.tag import Tag
from bert_serving.server.tasks.task import HeadReader, Task

if TYPE_CHECKING:
    from bert_serving.server.settings import Settings

TASKS: Mapping[str, type[Task]] = {task.name: task for task in (Encode, Tag, Classify)}
"""By name; the first is the one of a request that names none."""

_DEFAULT = next(iter(TASKS))


class TaskRequest(NamedTuple):
    """What is to be done with the texts of a request.

    Attributes:
        task: a key of :data:`TASKS`.
        options: what the task's ``read_options`` gave.
    """

    task: str = _DEFAULT
    options: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def read(cls, extra: Mapping[str, Any]) -> TaskRequest:
        """From the fields that a peer sent; those that are not the task's mean nothing.

        Raises:
            RequestError: bad_request naming what is possible.
        """
        task = check_one_of("task", extra.get("task", _DEFAULT), tuple(TASKS))
        return cls(task, TASKS[task].read_options(extra))


def tasks_of(head: str | None) -> list[str]:
    """The tasks that a model with this kind of head answers.

    Example:
        >>> tasks_of("tagging")
        ['encode', 'tag']
    """
    return [name for name, task in TASKS.items() if task.head in (None, head)]


def head_reader(info: dict[str, Any]) -> HeadReader | None:
    """The reader for an engine's head; None without one, or where no task asks for it."""
    head = info.get("head")
    return next((task.head_reader(info) for task in TASKS.values() if head and task.head == head), None)


def make_tasks(settings: Settings) -> dict[str, Task]:
    """Every task by name, for one served model.

    Raises:
        BertFtError: the model's vocabulary cannot be read, or is another model's.
    """
    tokenizer = settings.directory.tokenizer(settings.options.do_lower_case)
    return {name: task(tokenizer, settings) for name, task in TASKS.items()}
