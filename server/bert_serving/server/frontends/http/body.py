"""Receiving the body of an HTTP request: neither for ever, nor more than there is room for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, ClassVar

from bert_serving.server.frontends.http.caller import CallerGoneError
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError
from fastapi import Request
from starlette.requests import ClientDisconnect


class BodyError(RequestError):
    """A body that is not read to its end, so that its connection is of no further use."""

    headers: ClassVar = {"Connection": "close"}


class Bodies:
    """The bodies of all requests under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._coming: set[asyncio.Task[None]] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Give a whole body; it counts until the end of the block.

        Raises:
            BodyError: it is too large or comes too slowly, there is no room for it now, or the server stops.
            CallerGoneError: its sender is.
        """
        parts: list[bytes] = []
        try:
            await self._come(self._fill(request, parts))
            parts[:] = [b"".join(parts)]
            yield parts[0]
        finally:
            self._bytes -= sum(map(len, parts))

    def close(self) -> None:
        """Wait no longer for what is still to come."""
        self._closed = True
        for task in self._coming:
            task.cancel()

    async def _come(self, filling: Coroutine[Any, Any, None]) -> None:
        seconds = self._limits.http_body_seconds
        task = asyncio.ensure_future(filling)
        self._coming.add(task)
        try:
            await asyncio.wait_for(task, seconds)
        except ClientDisconnect:
            raise CallerGoneError from None
        except asyncio.TimeoutError:
            message = f"the body of the request did not come within {seconds:g} s"
            raise BodyError("bad_request", message) from None
        except asyncio.CancelledError:
            if not self._closed:
                raise
            raise BodyError("shutting_down", "the server is shutting down") from None
        finally:
            self._coming.discard(task)

    async def _fill(self, request: Request, parts: list[bytes]) -> None:
        size = 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            self._bytes += len(part)
            if size > self._limits.max_request_bytes:
                limit = self._limits.max_request_bytes >> 20
                raise BodyError("too_large", f"a request holds at most {limit} MB; send it in parts")
            if self._bytes > self._limits.http_max_body_bytes:
                raise BodyError("overloaded", "too many large requests wait already; ask again later")
