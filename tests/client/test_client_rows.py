"""An answer of another size belongs to another client with the same identity."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bert_serving.client import AsyncBertClient, BadReplyError, BertClient

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]

TEXTS = ["a", "bb", "ccc"]
CLASSES = {"label": "glad", "score": 1.0, "scores": {"glad": 1.0}}
LINE = (
    "the server answered {} rows for 3 texts: another client probably uses the same identity; give each live client "
    "its own"
)


def rows(count: int) -> Callable[[FakeServer, Request], None]:
    def script(server: FakeServer, request: Request) -> None:
        if len(request.frames) == 4:
            server.answer(request, np.ones((count, 2), np.float32))
        elif json.loads(request.frames[4])["task"] == "classify":
            server.answer_json(request, [CLASSES] * count)
        else:
            server.answer_json(request, [[] for _ in range(count)])

    return script


def fetched(client: BertClient, all_: bool) -> Any:
    client.encode(TEXTS, blocking=False)
    return client.fetch_all() if all_ else list(client.fetch())


PLAIN: dict[str, Callable[[BertClient], Any]] = {
    "encode": lambda client: client.encode(TEXTS),
    "fetch": lambda client: fetched(client, False),
    "fetch_all": lambda client: fetched(client, True),
    "encode_async": lambda client: list(client.encode_async([TEXTS])),
    "tag": lambda client: client.tag(TEXTS),
    "tags": lambda client: client.tag(TEXTS, output="tags"),
    "classify": lambda client: client.classify(TEXTS),
}


@pytest.mark.parametrize("count", [0, 2, 4])
@pytest.mark.parametrize("method", PLAIN)
def test_another_number_of_rows_is_an_error(serve: Serve, method: str, count: int) -> None:
    server = serve(rows(count))
    with BertClient(**server.ports) as client:
        with pytest.raises(BadReplyError) as caught:
            PLAIN[method](client)
        assert str(caught.value) == LINE.format(count)
        assert caught.value.request_id == server.requests[-1].id
        server.script = rows(3)
        PLAIN[method](client)


async def every_way(client: AsyncBertClient, method: str) -> Any:
    if method in ("encode", "tag", "classify"):
        return await getattr(client, method)(TEXTS)
    if method == "encode_async":
        return [response async for response in client.encode_async([TEXTS])]
    await client.encode(TEXTS, blocking=False)
    return await client.fetch_all() if method == "fetch_all" else [response async for response in client.fetch()]


@pytest.mark.parametrize("method", ["encode", "fetch", "fetch_all", "encode_async", "tag", "classify"])
def test_the_asyncio_twin_says_so_too(serve: Serve, method: str) -> None:
    server = serve(rows(2))

    async def main() -> None:
        async with AsyncBertClient(**server.ports) as client:
            with pytest.raises(BadReplyError) as caught:
                await every_way(client, method)
            assert str(caught.value) == LINE.format(2)
            server.script = rows(3)
            await every_way(client, method)

    asyncio.run(main())


@pytest.mark.parametrize("legacy", [False, True])
def test_two_clients_with_one_identity(serve: Serve, legacy: bool) -> None:
    """Whose request comes first is answered first, to both of them under one id."""
    held: list[Request] = []

    def script(server: FakeServer, request: Request) -> None:
        held.append(request)
        if len(held) == 2:
            for one in held:
                server.answer(one)

    server = serve(script, legacy=legacy)
    with (
        BertClient(identity="same", **server.ports) as first,
        BertClient(identity="same", **server.ports) as second,
    ):
        first.encode(["x"], blocking=False)
        while not server.requests:
            time.sleep(0.005)
        second.encode(["xx", "yy"], blocking=False)
        np.testing.assert_array_equal(first.fetch_all()[0], server.vectors(["x"]))
        with pytest.raises(BadReplyError, match="1 rows for 2 texts: another client probably uses the same identity"):
            second.fetch_all()


def test_an_answer_of_no_dimension(serve: Serve) -> None:
    server = serve(lambda server, request: server.answer(request, np.float32(1).reshape(())))
    with BertClient(**server.ports) as client, pytest.raises(BadReplyError, match="0 rows for 1 texts"):
        client.encode(["x"])
