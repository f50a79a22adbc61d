"""From replies to what the caller gets: values, exceptions, warnings."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, NamedTuple

from bert_serving.client import wire
from bert_serving.client.errors import BadReplyError
from bert_serving.client.requests.session import Session


class Response(NamedTuple):
    """Result of one request.

    Attributes:
        id: the request id; ids grow in the order of sending.
        embedding: float32 or float16 array [N, D] or [N, T, D], or the same as nested lists.
        tokens: for each text its tokens as the model saw them, or "" if the server shows none.
    """

    id: int
    embedding: Any
    tokens: list[list[str]] | str


class TruncationNotice:
    """Warns of texts that the server has cut, once per call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said = False

    def see(self, reply: wire.ArrayReply | wire.JsonReply) -> None:
        """Warn if `reply` is the first one of this call with cut texts."""
        if self._said or not reply.truncated:
            return
        self._said = True
        count = len(reply.array if isinstance(reply, wire.ArrayReply) else reply.answers)
        server = self._session.server
        length = f"={server.max_seq_len}" if server and server.max_seq_len is not None else ""
        warn(
            f"the server has cut {len(reply.truncated)} of the {count} texts of request "
            f"{reply.request_id} to its max_seq_len{length}; start it with a larger -max_seq_len to keep "
            "them whole (said once per call)"
        )


def array_of(reply: wire.Reply) -> wire.ArrayReply:
    """`reply` if it holds vectors; raises the server's error if it holds one."""
    if isinstance(reply, wire.ErrorReply):
        raise reply.error
    if not isinstance(reply, wire.ArrayReply):
        raise BadReplyError("the server answered encode() with something else", request_id=reply.request_id)
    return reply


def info_of(reply: wire.Reply) -> dict[str, Any]:
    """The JSON object of `reply`; raises the server's error if it holds one."""
    if isinstance(reply, wire.ErrorReply):
        raise reply.error
    if not isinstance(reply, wire.InfoReply):
        raise BadReplyError("the server answered a command with something else", request_id=reply.request_id)
    return reply.info


def warn(message: str) -> None:
    """A UserWarning that points at the caller of this package."""
    package = os.path.dirname(__file__) + os.sep
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
