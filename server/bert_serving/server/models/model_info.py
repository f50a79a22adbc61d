"""What the served model can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bert_serving.server.tasks.registry import tasks_of
from bert_serving.server.tasks.request import RequestError


@dataclass(frozen=True)
class ModelInfo:
    """
    Attributes:
        dim: length of a vector; 0 before a worker is ready.
        head: its kind, or None.
        labels: the head's labels in id order.
    """

    dim: int
    head: str | None
    labels: list[str]

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks it answers."""
        return tasks_of(self.head)

    def check(self, task: str) -> None:
        """Raises RequestError, no_head, which says what the model has."""
        if task in self.tasks:
            return
        has = f"a {self.head} head with {len(self.labels)} labels" if self.head else "no head"
        calls = " or ".join(f"{name}()" for name in reversed(self.tasks))
        raise RequestError("no_head", f"this model has {has}: use {calls}, not {task}()")
