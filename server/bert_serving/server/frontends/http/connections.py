"""The connections of the HTTP door: how many, how long without a request, and what malformed ones are told.

It is a mixin over whichever of uvicorn's two HTTP protocols is installed, and uses what both have: ``transport``,
``cycle`` (the request under way, or the last one) and ``connections``.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from bert_serving.server.limits import Limits

MALFORMED = "this is no HTTP/1.1 request; send one such as POST /encode with a JSON body"


def guarded(base: type[Any], maximum: int, limits: Limits) -> type[Any]:
    """A protocol for uvicorn.

    Args:
        base: uvicorn's own.
        maximum: connections. One more, and the oldest that has no request under way is closed for it; if all have
            one, the new connection is.
    """

    class Guarded(base):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self._deadline: asyncio.TimerHandle | None = None
            self._since = self.loop.time()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            is_full = len(self.connections) > maximum
            open_ = sum(not one.transport.is_closing() for one in self.connections) if is_full else 0
            if open_ > maximum and not self._make_room():
                self._refuse(503, "overloaded", f"the server has {maximum} connections already; ask again later")
                return
            self._expect_header()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_busy():
                self._set_deadline(None)
            elif self._deadline is None:
                self._expect_header()

        def eof_received(self) -> bool:
            """Go on for a moment: the caller may still read."""
            if not self._is_busy():
                return False
            self._set_deadline(limits.http_half_closed_seconds, self._on_half_closed)
            return True

        def connection_lost(self, error: Exception | None) -> None:
            self._set_deadline(None)
            super().connection_lost(error)

        def on_response_complete(self) -> None:
            if self._deadline is not None:  # half-closed: there will be no other request
                self._set_deadline(None)
                self.transport.close()
            self._since = self.loop.time()
            super().on_response_complete()

        def send_400_response(self, message: str) -> None:
            self._refuse(400, "bad_request", MALFORMED)

        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _make_room(self) -> bool:
            """Close the connection that has been without a request for longest."""
            others = [
                other
                for other in self.connections
                if other is not self and not other._is_busy() and not other.transport.is_closing()
            ]
            if others:
                min(others, key=lambda other: other._since).transport.abort()
            return bool(others)

        def _expect_header(self) -> None:
            self._since = self.loop.time()
            self._set_deadline(limits.http_header_seconds, self._on_no_header)

        def _on_no_header(self) -> None:
            message = f"the header of a request did not come within {limits.http_header_seconds:g} s"
            self._refuse(408, "bad_request", message)

        def _on_half_closed(self) -> None:
            message = "the caller closed its side of the connection; keep it open until the answer is there"
            self._refuse(400, "bad_request", message)

        def _refuse(self, status: int, code: str, message: str) -> None:
            """Past the application: there is no request, or nobody who waits for its answer."""
            self._set_deadline(None)
            if self.transport.is_closing():
                return
            body = json.dumps({"description": message, "status": status, "type": code}).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            if not (self._is_busy() and self.cycle.response_started):
                self.transport.write(head.encode() + body)
            self.transport.close()

        def _set_deadline(self, seconds: float | None, callback: Any = None) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = None if seconds is None else self.loop.call_later(seconds, callback)

    return Guarded
