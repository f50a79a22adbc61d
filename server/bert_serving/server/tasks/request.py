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


def check_texts(texts: list[object], max_characters: int) -> None:
    """See that texts are all strings, or all lists of strings, and that none is blank.

    Raises:
        RequestError: bad_request naming the first index at fault.
    """
    if not texts:
        raise RequestError("bad_request", "the list of texts is empty; send at least one text")
    tokenised = isinstance(texts[0], list)
    for index, text in enumerate(texts):
        if isinstance(text, list) is not tokenised:
            raise RequestError("bad_request", f"texts[{index}]: strings and lists of tokens are mixed in one request")
        if tokenised:
            _check_tokens(index, text, max_characters)
        else:
            check_text(f"texts[{index}]", text, max_characters)


def _check_tokens(index: int, tokens: object, max_characters: int) -> None:
    assert isinstance(tokens, list)
    if not tokens:
        raise RequestError("bad_request", f"texts[{index}]: the list of tokens is empty")
    for place, token in enumerate(tokens):
        check_text(f"texts[{index}][{place}]", token, max_characters)


def check_text(name: str, text: object, max_characters: int) -> None:
    """See that something is a string that the tokenizer can take.

    Raises:
        RequestError: it is not; ``name`` says where it was.
    """
    if not isinstance(text, str):
        raise RequestError("bad_request", f"{name}: must be a string, not {_kind(text)}")
    if not text or text.isspace():
        raise RequestError("bad_request", f"{name}: is empty or blank")
    if len(text) > max_characters:
        raise RequestError("too_large", f"{name}: has {len(text)} characters, more than {max_characters}")


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
