"""Reading the frames of one request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import zmq
from bert_serving.client.wire import is_number, topic_of
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError


class UnanswerableError(Exception):
    """A message without an identity or a request id that an answer could be sent to."""


@dataclass(frozen=True)
class Request:
    """A message that can be answered; what else is wrong with it is found by :meth:`check`.

    Attributes:
        id: the request id as it came, decimal digits.
        frames: all of them: identity, payload, id, number of texts and perhaps a JSON object.
        peer: address the message came from, or "".
        user: on a server with keys, the public key of the client, which libzmq has verified; else empty.
    """

    identity: bytes
    id: bytes
    frames: list[zmq.Frame]
    peer: str
    user: bytes = b""

    @classmethod
    def read(cls, frames: list[zmq.Frame], limits: Limits, keyed: bool = False) -> Request:
        """
        Args:
            keyed: whether the server has keys; else what a peer says of its user is its own invention.

        Raises:
            UnanswerableError: no answer is possible.
        """
        identity = frames[0].bytes
        if not identity or b"\0" in identity or len(identity) > limits.zmq_max_identity_bytes:
            raise UnanswerableError("an identity that is empty, too long or holds a NUL")
        request_id = frames[2].bytes if len(frames) > 3 else b""
        if not is_number(request_id):
            raise UnanswerableError("no request id in its third frame")
        try:
            peer = str(frames[0].get("Peer-Address"))
        except zmq.ZMQError:
            peer = ""
        return cls(identity, request_id, frames, peer, user_of(frames[0]) if keyed else b"")

    @property
    def address(self) -> bytes:
        """Where the answer goes: the topic that the client's connection is subscribed to."""
        return topic_of(self.identity, self.user)

    @property
    def key(self) -> tuple[bytes, int]:
        return self.address, int(self.id)

    @cached_property
    def payload(self) -> bytes:
        return self.frames[1].bytes

    @property
    def announced(self) -> int:
        """Number of texts that the request says it holds."""
        return int(self.frames[3].bytes)

    def check(self, max_bytes: int) -> None:
        """Raises RequestError: the frames are not those of a request, or the payload has more than ``max_bytes``."""
        if len(self.frames) > 5:
            raise RequestError("bad_request", f"a request has 4 or 5 frames, not {len(self.frames)}")
        size = len(self.frames[1].buffer)
        if size > max_bytes:
            limit = f"{max_bytes >> 20} MB"
            raise RequestError("too_large", f"a request holds at most {limit} of text; send it in parts")
        if not is_number(self.frames[3].bytes):
            raise RequestError("bad_request", "the fourth frame must be the number of texts in decimal digits")
        if self.announced > size:
            raise RequestError("bad_request", "the fourth frame announces more texts than the request can hold")

    def extra(self) -> dict[str, Any]:
        """The fifth frame, or nothing.

        Raises:
            RequestError: it is no JSON object.
        """
        if len(self.frames) < 5:
            return {}
        try:
            extra = json.loads(self.frames[4].bytes.decode("utf-8"))
        except (ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            raise RequestError("bad_request", "the fifth frame must be a JSON object")
        return extra


def user_of(frame: zmq.Frame) -> bytes:
    """The user that an authenticator has told libzmq; on a socket without one, whatever the peer says."""
    try:
        return str(frame.get("User-Id")).encode("utf-8")
    except zmq.ZMQError:
        return b""


def read_topic(topic: bytes, user: bytes | None, max_identity_bytes: int) -> bytes | None:
    """The address that a subscription asks for; None if it is no identity, or not the subscriber's own.

    With keys a client subscribes to its identity, a NUL and its public key, so that an identity is each key's own:
    nobody hears, or speaks for, another key's.

    Args:
        user: the subscriber's public key; None on a server without keys.
    """
    identity, nul, key = topic.partition(b"\0")
    if not identity or len(identity) > max_identity_bytes or (nul and user is None) or key != (user or b""):
        return None
    return topic_of(identity, key)
