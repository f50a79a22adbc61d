"""From replies to what the caller gets: values, exceptions, warnings."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, NamedTuple, TypeVar

from bert_serving.client import wire
from bert_serving.client.errors import BadReplyError
from bert_serving.client.requests.session import Session

T = TypeVar("T")


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


class Entity(NamedTuple):
    """A span of a text and what it is.

    Attributes:
        type: such as "name".
        text: the span; of tokenised input its tokens, joined without a space between CJK characters.
        start: index of its first character in the text as it was sent (of its first token, for tokenised input).
        end: index after its last character or token; ``text[start:end]`` of a raw text is the entity's `text`.
        score: the model's probability, 0 to 1, that the span's words have just these tags (B-type, then
            I-type), whatever the tags around them: under a CRF head their exact marginal probability, by the
            forward-backward algorithm; under a softmax head the product of the tags' probabilities. An entity
            put together from two windows of a long text has the lower of two scores.
    """

    type: str
    text: str
    start: int
    end: int
    score: float


class Classification(NamedTuple):
    """The class of a text.

    Attributes:
        label: the most probable one.
        score: its probability.
        scores: the probability (softmax of the head's logits) of every label; they sum to 1.
    """

    label: str
    score: float
    scores: dict[str, float]


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


def answers_of(reply: wire.Reply, task: str) -> wire.JsonReply:
    """`reply` if it answers `task`; raises the server's error if it holds one."""
    if isinstance(reply, wire.ErrorReply):
        raise reply.error
    if not isinstance(reply, wire.JsonReply) or reply.task != task:
        raise BadReplyError(f"the server answered {task}() with something else", request_id=reply.request_id)
    return reply


def entities_of(reply: wire.Reply, output: str) -> list[list[Any]]:
    """What `tag` returns for its reply."""
    found = answers_of(reply, "tag")
    if output == "tags":
        return found.answers
    return [[_made(Entity, entity, found) for entity in entities] for entities in found.answers]


def classifications_of(reply: wire.Reply, notice: TruncationNotice) -> list[Classification]:
    """What `classify` returns for its reply."""
    found = answers_of(reply, "classify")
    notice.see(found)
    return [_made(Classification, answer, found) for answer in found.answers]


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


def _made(kind: type[T], fields: Any, reply: wire.JsonReply) -> T:
    """Fields that a later server may have added are left out."""
    try:
        return kind(**{name: fields[name] for name in kind._fields})  # type: ignore[attr-defined]
    except (KeyError, TypeError) as error:
        raise BadReplyError(f"the server's answer lacks {error}", request_id=reply.request_id) from error
