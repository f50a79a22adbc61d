"""What a peer sends, checked; and the error it gets."""

from __future__ import annotations

Texts = list[str] | list[list[str]]


class RequestError(Exception):
    """A request that cannot be answered; ``code`` is one of the wire's error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    """The value of a field; raises RequestError, bad_request, naming what is possible."""
    if value not in known:
        raise RequestError("bad_request", f"{name} must be one of {', '.join(known)}, not {repr(value)[:80]}")
    return str(value)
