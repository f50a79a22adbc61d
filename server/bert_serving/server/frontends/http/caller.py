"""Working for a caller as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bert_serving.server.tasks.request import RequestError
from fastapi import Request

T = TypeVar("T")


class CallerGoneError(RequestError):
    """Nobody waits for the answer."""

    def __init__(self) -> None:
        super().__init__("bad_request", "the caller is gone")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives for a request whose body has been read; it is cancelled when the caller hangs up.

    Raises:
        CallerGoneError: the caller has hung up.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise CallerGoneError
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
