"""A request that was sent and is not answered."""

from __future__ import annotations

from dataclasses import dataclass

from bert_serving.client import wire
from bert_serving.client.errors import BadReplyError


@dataclass
class Pending:
    """A request that was sent and is not answered.

    Attributes:
        frames: for sending it again, or None if the server cannot tell that it lost a request.
        count: number of its texts, 0 for a command.
        unknown: how often in a row the server did not know it.
        suspect: the server lost another request, so one "unknown" is enough.
        asked_from: answers to questions with a smaller id are about an earlier sending.
    """

    frames: list[bytes] | None
    is_command: bool
    count: int = 0
    unknown: int = 0
    resends: int = 0
    suspect: bool = False
    asked_from: int = 0

    def checked(self, reply: wire.Reply) -> wire.Reply:
        """`reply` if it answers so many texts, else an error: ids are unique only within an identity."""
        if isinstance(reply, wire.ArrayReply):
            found = len(reply.array) if reply.array.ndim else 0
        elif isinstance(reply, wire.JsonReply):
            found = len(reply.answers)
        else:
            return reply
        if found == self.count:
            return reply
        error = BadReplyError(
            f"the server answered {found} rows for {self.count} texts: another client probably uses the same identity; "
            "give each live client its own",
            request_id=reply.request_id,
        )
        return wire.ErrorReply(reply.request_id, error)
