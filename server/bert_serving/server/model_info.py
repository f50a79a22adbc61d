"""What the served model can be asked."""

from __future__ import annotations

from typing import Any, NamedTuple

from bert_serving.server.requests import RequestError

_TASK_OF_HEAD = {"classification": "classify", "tagging": "tag"}


class ModelInfo(NamedTuple):
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
