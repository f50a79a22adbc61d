"""Answers of the HTTP door: as JSON, of bounded size, and no faster than they are read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from bert_serving.client.wire import json_bytes
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import EncodeResult, JsonResult
from bert_serving.server.tasks.request import RequestError
from fastapi import Response

PART = 1 << 20


class Outgoing:
    """Answers on their way."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0

    def reply(self, content: bytes) -> Reply:
        return Reply(content, self)


class Reply(Response):
    """One answer: a caller who does not read it is left after a while."""

    def __init__(self, content: bytes, outgoing: Outgoing) -> None:
        super().__init__(content, media_type="application/json")
        self._outgoing = outgoing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size = len(self.body)
        if self._outgoing.bytes + size > self._outgoing.limits.http_max_answer_bytes:
            message = "too many answers wait to be read by their callers; ask again later"
            await fault_response(message, 503, "overloaded")(scope, receive, send)
            return
        self._outgoing.bytes += size
        try:
            with contextlib.suppress(asyncio.TimeoutError):  # what is not complete ends the connection
                await self._send(send)
        finally:
            self._outgoing.bytes -= size

    async def _send(self, send: Any) -> None:
        size = len(self.body)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        view = memoryview(self.body)
        for start in range(0, size, PART):
            part = {"type": "http.response.body", "body": bytes(view[start : start + PART])}
            seconds = self._outgoing.limits.http_read_seconds
            await asyncio.wait_for(send(part | {"more_body": start + PART < size}), seconds)


def check_numbers(count: int, maximum: int) -> None:
    """Raises RequestError, too_large."""
    if count > maximum:
        much = f"the answer would have {count:,} numbers, more than {maximum:,} over HTTP"
        raise RequestError("too_large", f"{much}; send fewer texts in one request, or use the ZeroMQ ports")


def answer_json(request_id: Any, result: EncodeResult | JsonResult, max_numbers: int) -> bytes:
    """Raises RequestError, too_large: the vectors have more than ``max_numbers``."""
    answer = {"id": request_id, "status": 200, "truncated": result.truncated, "model": result.model}
    if isinstance(result, JsonResult):
        return _joined(answer, [("result", result.body)])
    check_numbers(result.vectors.size, max_numbers)
    rows = b"[" + b",".join(json.dumps(row.tolist()).encode() for row in result.vectors) + b"]"
    if result.tokens is not None:
        answer["tokens"] = result.tokens
    return _joined(answer, [("result", rows), ("results", rows)])


def json_response(value: dict[str, Any]) -> Response:
    """Its member "status" is HTTP's too; without one it is 200."""
    return Response(json_bytes(value, None), value.get("status", 200), media_type="application/json")


def fault_response(message: str, status: int, code: str) -> Response:
    """bert-as-service's error object."""
    return json_response({"description": message, "status": status, "type": code})


def _joined(value: dict[str, Any], more: list[tuple[str, bytes]]) -> bytes:
    """The JSON of an object with further members, whose values are JSON already."""
    members = [part for name, text in more for part in (b', "%s": ' % name.encode(), text)]
    return b"".join([json_bytes(value, None)[:-1], *members, b"}"])
