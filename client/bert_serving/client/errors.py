"""What a server, or the lack of its answer, can make a call raise."""

from __future__ import annotations

ERROR_CLASSES: dict[str, type[BertServingError]] = {}
"""Those that a server sends, by code; a later one may send others, which are raised as the base class."""


class BertServingError(Exception):
    """A request failed, and the server (or the client on its behalf) says why.

    Attributes:
        message: the reason, one line.
        code: the machine-readable kind, e.g. ``"bad_request"``; see ``ERROR_CLASSES``.
        request_id: the request it is about, or None.
    """

    default_code = "internal"

    def __init_subclass__(cls, code: str | None = None, is_sent: bool = True) -> None:
        if code is not None:
            cls.default_code = code
            if is_sent:
                ERROR_CLASSES[code] = cls

    def __init__(self, message: str, code: str | None = None, request_id: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.request_id = request_id


class BadRequestError(BertServingError, code="bad_request"):
    """The server cannot read the request or refuses its contents."""


class RequestTooLargeError(BertServingError, code="too_large"):
    """The request exceeds one of the server's limits."""


class ServerOverloadedError(BertServingError, code="overloaded"):
    """The server's queue is full; the same request may succeed later."""


class NoHeadError(BertServingError, code="no_head"):
    """The served model has no head for what was asked."""


class EngineFailedError(BertServingError, code="engine_failed"):
    """The model could not compute this request."""


class ServerShuttingDownError(BertServingError, code="shutting_down"):
    """The server is stopping and takes no more work."""


class ServerFailedError(BertServingError, code="server_failed"):
    """The server cannot go on, its workers cannot be started for example, and ends; the message says why."""


class InternalServerError(BertServingError, code="internal"):
    """A fault of the server itself."""


class BadReplyError(BertServingError, code="bad_reply", is_sent=False):
    """A reply that does not follow the wire format. Raised by the client."""


class RequestLostError(BertServingError, code="request_lost", is_sent=False):
    """The server lost the request every time it was sent. Raised by the client."""


class UnsupportedByServerError(BertServingError, NotImplementedError, code="unsupported", is_sent=False):
    """The server is a 1.10.0 one, which knows vectors only. Raised by the client."""
