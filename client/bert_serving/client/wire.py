"""The wire format, both directions, without sockets.

Requests are multipart messages of four frames, all of them bytes::

    identity | command or JSON list of texts | request id | number of texts

The id and the number are ASCII decimals. A fifth frame, a JSON object, goes only to servers that
announce ``bert_ft_version``. Replies carry the identity (bert-ft appends a NUL, and with keys the
client's public one) in the first frame and the request id in the last one::

    topic | JSON header | body | request id          vectors, tags and classes (as JSON), errors
    topic | JSON object | request id                 configuration, status, state of a request
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from bert_serving.client.errors import ERROR_CLASSES, BadReplyError, BertServingError

CLIENT_PROTOCOL_VERSION = "1.10.0"

SHOW_CONFIG = b"SHOW_CONFIG"
SHOW_STATUS = b"SHOW_STATUS"
SHOW_STATE = b"SHOW_STATE"
TERMINATION = b"TERMINATION"
RELOAD = b"RELOAD"
"""To a bert-ft server only: bert-as-service would take it for texts."""

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview


class ArrayReply(NamedTuple):
    """Vectors: a writable array, the tokens ("" if the server shows none), indices of cut texts."""

    request_id: int
    array: np.ndarray
    tokens: list[list[str]] | str
    truncated: list[int]


class JsonReply(NamedTuple):
    """Tags or classes: one element a text, and indices of cut texts."""

    request_id: int
    task: str
    answers: list[Any]
    truncated: list[int]


class InfoReply(NamedTuple):
    """The JSON object that answers a command."""

    request_id: int
    info: dict[str, Any]


class ErrorReply(NamedTuple):
    """The server's refusal of one request."""

    request_id: int
    error: BertServingError


Reply = ArrayReply | JsonReply | InfoReply | ErrorReply


def topic_of(identity: bytes, key: bytes = b"") -> bytes:
    """First frame of a bert-ft reply; the NUL keeps one identity from being a prefix of another.

    Args:
        key: on a server with keys, the public key of the client that asked: identities are its own.
    """
    return identity + b"\0" + key


def json_bytes(value: Any, separators: tuple[str, str] | None = (",", ":")) -> bytes:
    """JSON in UTF-8, without spaces unless `separators` has some; None: those of `json.dumps`."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=separators).encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates exist only in escaped form
        return json.dumps(value, separators=separators).encode("ascii")


def request_frames(
    identity: bytes, payload: bytes, request_id: int, count: int = 0, extra: Mapping[str, Any] | None = None
) -> list[bytes]:
    """Frames of a request: `payload` is a command or the texts as `json_bytes`, `count` the number of texts."""
    frames = [identity, payload, b"%d" % request_id, b"%d" % count]
    if extra is not None:
        frames.append(json.dumps(extra).encode("ascii"))
    return frames


def array_header(
    dtype: str, shape: Sequence[int], tokens: list[list[str]] | str, truncated: Sequence[int], model: str = ""
) -> bytes:
    """Header of an encode reply; `truncated` lists the indices of the texts cut to max_seq_len.

    Args:
        model: fingerprint of the model that made the vectors.
    """
    return _json(
        {
            "dtype": dtype,
            "shape": shape,
            "tokens": tokens,
            "task": "encode",
            "truncated": truncated,
            "model": model,
        }
    )


def json_header(task: str, truncated: Sequence[int], model: str = "") -> bytes:
    """Header of a reply whose body is JSON; ``dtype`` makes the 1.10.0 client raise, as in `error_reply`."""
    return _json(
        {
            "task": task,
            "dtype": "bert-ft: this reply is JSON; use a bert-ft client",
            "shape": [0],
            "tokens": "",
            "truncated": truncated,
            "model": model,
        }
    )


def error_reply(code: str, message: str) -> tuple[bytes, bytes]:
    """Header and (empty) body of an error.

    ``dtype`` holds the message in a form that makes numpy raise it as a TypeError in the 1.10.0
    client, which knows no errors: no commas, which numpy reads as a list of types, and only
    printable ASCII, since numpy before 1.20 hides everything else.
    """
    line = " ".join(message.split()) or code
    readable = line.replace(",", ";").encode("unicode_escape").decode("ascii")
    header = {
        "dtype": f"bert-ft: {readable}",
        "shape": [0],
        "tokens": "",
        "error": {"code": code, "message": line},
    }
    return _json(header), b""


def reply_id(frames: Sequence[Buffer], identity: bytes) -> int | None:
    """The request id of a reply meant for `identity`, or None for anything else.

    A server subscribes by prefix, so the replies of a longer identity can arrive here too.
    """
    if len(frames) < 3 or bytes(frames[0]).partition(b"\0")[0] != identity:
        return None
    digits = bytes(frames[-1])
    return int(digits) if is_number(digits) else None


def is_number(frame: bytes) -> bool:
    """Whether a frame is an id, or a count, in decimal digits."""
    return frame.isdigit() and len(frame) <= 19


def parse_reply(frames: Sequence[Buffer], request_id: int) -> Reply:
    """The typed form of a reply whose id `reply_id` has read.

    Raises:
        BadReplyError: the frames do not follow the format.
    """
    try:
        return _reply(frames, request_id)
    except BadReplyError as error:
        error.request_id = request_id
        raise


def _reply(frames: Sequence[Buffer], request_id: int) -> Reply:
    header = _parsed(frames[1], dict, "header", "object")
    if "error" in header:
        error = header["error"]
        if not isinstance(error, dict):
            raise BadReplyError("the server sent an error without code and message")
        message = " ".join(str(error.get("message", "")).split()) or "the server gives no reason"
        code = str(error.get("code", "internal"))
        return ErrorReply(request_id, ERROR_CLASSES.get(code, BertServingError)(message, code, request_id))
    if len(frames) == 3:
        return InfoReply(request_id, header)
    if len(frames) != 4:
        raise BadReplyError(f"the server sent {len(frames)} frames, not 3 or 4")
    truncated = list(header.get("truncated") or [])
    task = header.get("task", "encode")
    if task != "encode":
        return JsonReply(request_id, str(task), _parsed(frames[2], list, "answer", "list"), truncated)
    return ArrayReply(request_id, _array(header, frames[2]), header.get("tokens", ""), truncated)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii")


def _parsed(frame: Buffer, kind: type[T], what: str, expected: str) -> T:
    try:
        value = json.loads(bytes(frame))
    except (ValueError, RecursionError) as error:
        raise BadReplyError(f"the server's {what} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise BadReplyError(f"the server's {what} is not a JSON {expected}")
    return value


def _array(header: Mapping[str, Any], body: Buffer) -> np.ndarray:
    """The body as a writable array of the header's dtype (little-endian on the wire) and shape."""
    name, shape = header.get("dtype"), header.get("shape")
    try:
        dtype = np.dtype(str(name))
    except (TypeError, ValueError) as error:
        raise BadReplyError(f"the server sent the unknown dtype {name!r}") from error
    if dtype.kind not in "fiub" or not isinstance(shape, list) or not all(map(_is_size, shape)):
        raise BadReplyError(f"the server sent dtype {name!r}, shape {shape!r}")
    expected = math.prod(shape) * dtype.itemsize
    if memoryview(body).nbytes != expected:
        raise BadReplyError(f"the server sent {memoryview(body).nbytes} bytes for {name} {shape}, not {expected}")
    return np.frombuffer(body, dtype=dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0
