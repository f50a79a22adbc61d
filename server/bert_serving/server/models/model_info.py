"""What the served model can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bert_serving.client.wire import json_bytes
from bert_serving.server.tasks.request import RequestError

_TASK_OF_HEAD = {"classification": "classify", "tagging": "tag"}


_BYTES_OF_A_SCORE = 22
"""Digits, a colon and a comma."""


@dataclass(frozen=True)
class ModelInfo:
    """
    Attributes:
        dim: length of a vector; 0 before a worker is ready.
        head: "classification", "tagging" or None.
        labels: the head's labels in id order.
    """

    dim: int
    head: str | None
    labels: list[str]

    @classmethod
    def from_engine(cls, info: dict[str, Any]) -> ModelInfo:
        return cls(info["dim"], info.get("head"), list(info.get("labels", ())))

    @cached_property
    def bytes_of_scores(self) -> int:
        """What the scores of all labels take in an answer, as JSON."""
        return sum(len(json_bytes(label)) + _BYTES_OF_A_SCORE for label in self.labels)

    @property
    def tasks(self) -> list[str]:
        """The tasks it answers: "encode", and that of its head."""
        return ["encode", *([_TASK_OF_HEAD[self.head]] if self.head in _TASK_OF_HEAD else [])]

    def check(self, task: str) -> None:
        """
        Raises:
            RequestError: no_head, which says what the model has.
        """
        if task in self.tasks:
            return
        has = f"a {self.head} head with {len(self.labels)} labels" if self.head else "no head"
        calls = " or ".join(f"{name}()" for name in reversed(self.tasks))
        raise RequestError("no_head", f"this model has {has}: use {calls}, not {task}()")
