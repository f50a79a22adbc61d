"""What `tag` and `classify` return, made from the server's JSON."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from bert_serving.client import wire
from bert_serving.client.errors import BadReplyError
from bert_serving.client.results import TruncationNotice

T = TypeVar("T")


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


def _made(kind: type[T], fields: Any, reply: wire.JsonReply) -> T:
    """Fields that a later server may have added are left out."""
    try:
        return kind(**{name: fields[name] for name in kind._fields})  # type: ignore[attr-defined]
    except (KeyError, TypeError) as error:
        raise BadReplyError(f"the server's answer lacks {error}", request_id=reply.request_id) from error
