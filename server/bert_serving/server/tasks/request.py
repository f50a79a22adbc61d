"""What a peer asks for: the task and its texts, read and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

Texts = list[str] | list[list[str]]


class RequestError(Exception):
    """A request that cannot be answered; ``code`` is one of the wire's error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


TASKS = ("encode", "tag", "classify")
TAG_OUTPUTS = ("entities", "tags")


class TaskRequest(NamedTuple):
    """What is to be done with the texts of a request.

    Attributes:
        task: "encode", "tag" or "classify".
        output: "entities" or "tags", for tagging.
    """

    task: str = "encode"
    output: str = "entities"

    @classmethod
    def read(cls, extra: dict[str, Any]) -> TaskRequest:
        """From the fifth frame; an absent one asks for vectors.

        Raises:
            RequestError: bad_request naming what is possible.
        """
        request = cls(**{key: extra[key] for key in cls._fields if key in extra})
        for key, value, known in (("task", request.task, TASKS), ("output", request.output, TAG_OUTPUTS)):
            if value not in known:
                raise RequestError("bad_request", f"{key} must be one of {', '.join(known)}, not {repr(value)[:80]}")
        return request
