"""What a server, or the lack of its answer, can make a call raise."""

from __future__ import annotations


class BertServingError(Exception):
    """A request failed, and the server (or the client on its behalf) says why.

    Attributes:
        message: the reason, one line.
        code: the machine-readable kind, e.g. ``"bad_request"``; see ``ERROR_CLASSES``.
        request_id: the request it is about, or None.
    """

    default_code = "internal"

    def __init__(self, message: str, code: str | None = None, request_id: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.request_id = request_id


class BadRequestError(BertServingError):
    """The server cannot read the request or refuses its contents."""

    default_code = "bad_request"


class RequestTooLargeError(BertServingError):
    """The request exceeds one of the server's limits."""

    default_code = "too_large"


class ServerOverloadedError(BertServingError):
    """The server's queue is full; the same request may succeed later."""

    default_code = "overloaded"


class NoHeadError(BertServingError):
    """The served model has no head for what was asked."""

    default_code = "no_head"


class EngineFailedError(BertServingError):
    """The model could not compute this request."""

    default_code = "engine_failed"


class ServerShuttingDownError(BertServingError):
    """The server is stopping and takes no more work."""

    default_code = "shutting_down"


class ServerFailedError(BertServingError):
    """The server cannot go on, its workers cannot be started for example, and ends; the message says why."""

    default_code = "server_failed"


class InternalServerError(BertServingError):
    """A fault of the server itself."""

    default_code = "internal"


class BadReplyError(BertServingError):
    """A reply that does not follow the wire format. Raised by the client, never sent."""

    default_code = "bad_reply"


class RequestLostError(BertServingError):
    """The server lost the request every time it was sent. Raised by the client, never sent."""

    default_code = "request_lost"


class UnsupportedByServerError(BertServingError, NotImplementedError):
    """The server is a 1.10.0 one, which knows vectors only. Raised by the client, never sent."""

    default_code = "unsupported"


ERROR_CLASSES: dict[str, type[BertServingError]] = {
    cls.default_code: cls
    for cls in (
        BadRequestError,
        RequestTooLargeError,
        ServerOverloadedError,
        NoHeadError,
        EngineFailedError,
        ServerShuttingDownError,
        ServerFailedError,
        InternalServerError,
    )
}


def server_error(code: str, message: str, request_id: int | None = None) -> BertServingError:
    """The exception for an error reply; a code this client does not know gives the base class."""
    return ERROR_CLASSES.get(code, BertServingError)(message, code, request_id)
