"""Bookkeeping of one client: ids, requests under way, replies not yet handed out. No sockets.

The owner of the sockets sends what it finds in `Session.outbox` and passes every message it
receives to `Session.receive`. While `Session.refused.to_look` is not empty it looks whether anybody
listens at the server's port, and passes that to `Session.looked`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_serving.client import wire
from bert_serving.client.errors import BadReplyError, RequestLostError, ServerShuttingDownError
from bert_serving.client.requests.pending import Pending
from bert_serving.client.requests.retry import TEMPORARY, Refused

MAX_RESENDS = 3

_COMMANDS = (wire.SHOW_CONFIG, wire.SHOW_STATUS)


@dataclass(frozen=True)
class ServerFacts:
    """What SHOW_CONFIG tells about the server."""

    is_bert_ft: bool
    max_seq_len: int | None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ServerFacts:
        length = config.get("max_seq_len")
        return cls("bert_ft_version" in config, length if isinstance(length, int) else None)


class Session:
    """State of a client that depends on what was sent and received, and on nothing else.

    Args:
        retry_limit: seconds (or None, for ever) for which a request is sent again that the server refuses for the
            moment; without it such a refusal is an answer.

    Attributes:
        outbox: messages to be sent, in order.
        pending: requests under way by id, oldest first.
        ready: replies not yet handed out by id, in order of arrival.
        refused: requests that are sent again after a pause.
        detached: ids of requests whose replies `fetch` hands out.
        server: facts about the server, None until it has answered SHOW_CONFIG.
        last_sign: when the last message came, seconds on the caller's clock.
        last_question: when the server was last asked for a sign of life.
    """

    def __init__(self, identity: bytes, retry_limit: Callable[[], float | None] | None = None) -> None:
        self.identity = identity
        self.retry_limit = retry_limit
        self.refused = Refused()
        self.outbox: deque[list[bytes]] = deque()
        self.pending: dict[int, Pending] = {}
        self.ready: dict[int, wire.Reply] = {}
        self.detached: set[int] = set()
        self.server: ServerFacts | None = None
        self.last_id = 0
        self.last_sign = float("-inf")
        self.last_question = float("-inf")

    def open(self, payload: bytes, count: int = 0, extra: Mapping[str, Any] | None = None) -> int:
        """Put a request into the outbox and return its id; `extra` only for a bert-ft server."""
        request_id = self._next_id()
        frames = wire.request_frames(self.identity, payload, request_id, count, extra)
        is_command = payload in _COMMANDS
        keep = is_command or self.server is None or self.server.is_bert_ft
        self.pending[request_id] = Pending(frames if keep else None, is_command, count)
        self.outbox.append(frames)
        return request_id

    def forget(self, request_ids: Iterable[int]) -> None:
        """Drop requests; replies that still come are ignored."""
        for request_id in list(request_ids):
            self.pending.pop(request_id, None)
            self.ready.pop(request_id, None)
            self.detached.discard(request_id)
            self.refused.accepted(request_id)

    def take(self, wanted: set[int]) -> wire.Reply | None:
        """Hand out, and strike from `wanted`, the first reply to one of them; None if there is none yet."""
        for request_id in self.ready:
            if request_id in wanted:
                wanted.discard(request_id)
                return self.ready.pop(request_id)
        return None

    def put_back(self, replies: Iterable[wire.Reply]) -> None:
        """Return replies that could not be delivered, for a later `fetch`."""
        returned = {reply.request_id: reply for reply in replies}
        self.ready = returned | self.ready
        self.detached.update(returned)

    def receive(self, frames: Sequence[wire.Buffer], now: float) -> None:
        """Take in one message; replies to forgotten or foreign requests are dropped."""
        request_id = wire.reply_id(frames, self.identity)
        if request_id is None:
            return
        self.last_sign = now
        self.refused.absent_since = None
        if request_id in self.pending:
            self._receive_answer(_parsed(frames, request_id), now)
        elif len(frames) == 3:
            reply = _parsed(frames, request_id)
            if isinstance(reply, wire.InfoReply):
                self._receive_info(reply)

    def resend_refused(self, now: float) -> bool:
        """Send again what is due; what was refused for the whole limit gets its refusal as the answer.

        Returns:
            whether there are such answers.
        """
        given_up = False
        for refusal in self.refused.take_due(now):
            request_id = refusal.reply.request_id
            if now >= refusal.until:
                self._finish(refusal.reply)
                given_up = True
            else:
                self._send_again(self.pending[request_id])
        return given_up

    def looked(self, absence: str | None, now: float) -> None:
        """Take in whether anybody listens at the server's port.

        Args:
            absence: None if somebody does, else one line that says so; the answer of requests whose server is gone.
        """
        again, gone = self.refused.looked(absence is None, now)
        for refusal in again:
            self._send_again(self.pending[refusal.reply.request_id])
        for refusal in gone:
            request_id = refusal.reply.request_id
            self._finish(wire.ErrorReply(request_id, ServerShuttingDownError(absence or "", request_id=request_id)))

    def learn(self, config: Mapping[str, Any]) -> None:
        """Remember what kind of server this is."""
        self.server = ServerFacts.from_config(config)
        if not self.server.is_bert_ft:
            for request in self.pending.values():
                request.frames = request.frames if request.is_command else None

    def ask(self, request_id: int, now: float) -> None:
        """Ask the server for a sign of life on behalf of a pending request.

        A command is repeated (it costs nothing and its reply may have been lost before the
        subscription was known); a server of unknown kind is asked for its configuration; a bert-ft
        server for the state of the request; a 1.10.0 server has no way to answer.
        """
        self.last_question = now
        request = self.pending[request_id]
        if request.is_command and request.frames:
            self.outbox.append(request.frames)
        elif self.server is None:
            self.outbox.append(wire.request_frames(self.identity, wire.SHOW_CONFIG, self._next_id()))
        elif self.server.is_bert_ft:
            self._ask_state(request_id)

    def _receive_answer(self, reply: wire.Reply, now: float) -> None:
        can_retry = self.retry_limit is not None and self.pending[reply.request_id].frames is not None
        if can_retry and isinstance(reply, wire.ErrorReply) and isinstance(reply.error, TEMPORARY):
            assert self.retry_limit is not None
            self.refused.add(reply, now, self.retry_limit())
        else:
            self._finish(self.pending[reply.request_id].checked(reply))

    def _finish(self, reply: wire.Reply) -> None:
        del self.pending[reply.request_id]
        self.refused.accepted(reply.request_id)
        self.ready[reply.request_id] = reply

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def _ask_state(self, request_id: int) -> None:
        question = {"request": request_id}
        self.outbox.append(wire.request_frames(self.identity, wire.SHOW_STATE, self._next_id(), extra=question))

    def _receive_info(self, reply: wire.InfoReply) -> None:
        info = reply.info
        if "server_version" in info:
            self.learn(info)
            return
        asked = info.get("request")
        if not isinstance(asked, int):
            return
        request = self.pending.get(asked)
        if request is None or reply.request_id < request.asked_from or asked in self.refused:
            return
        if info.get("state") == "waiting":
            request.unknown, request.suspect = 0, False
            self.refused.accepted(asked)
        elif info.get("state") == "unknown":
            self._receive_unknown(asked, request)

    def _receive_unknown(self, request_id: int, request: Pending) -> None:
        """Replies keep their order, so "unknown" ahead of the answer means that there will be none.

        The first one is checked by a second question. When that loss is certain the server has
        probably restarted, and every other request is asked about too.
        """
        request.unknown += 1
        if request.unknown < 2 and not request.suspect:
            self._ask_state(request_id)
            return
        was_suspect = request.suspect
        self._resend(request_id, request)
        if was_suspect:
            return
        for other_id, other in self.pending.items():
            if other_id != request_id and not other.is_command and other_id not in self.refused:
                other.suspect = True
                self._ask_state(other_id)

    def _resend(self, request_id: int, request: Pending) -> None:
        if request.frames is None or request.resends == MAX_RESENDS:
            error = RequestLostError(
                f"the server lost request {request_id} {request.resends + 1} times; its log should say why",
                request_id=request_id,
            )
            self._finish(wire.ErrorReply(request_id, error))
            return
        request.resends += 1
        self._send_again(request)

    def _send_again(self, request: Pending) -> None:
        assert request.frames is not None
        request.unknown, request.suspect = 0, False
        request.asked_from = self._next_id()
        self.outbox.append(request.frames)


def _parsed(frames: Sequence[wire.Buffer], request_id: int) -> wire.Reply:
    try:
        return wire.parse_reply(frames, request_id)
    except BadReplyError as error:
        return wire.ErrorReply(request_id, error)
