from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bert_serving.client import AsyncBertClient, BertServingError, RequestLostError, ServerOverloadedError
from bert_serving.client.requests.stream import WINDOW

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]


def slowly(seconds: float) -> Callable[[FakeServer, Request], None]:
    return lambda server, request: server.after(seconds, lambda: server.answer(request))


def batches(count: int) -> Iterator[list[str]]:
    for length in range(1, count + 1):
        yield ["x" * length]


async def lengths_of(stream: AsyncIterator[Any]) -> list[float]:
    return [response.embedding[0, 0] async for response in stream]


@pytest.mark.parametrize("legacy", [False, True])
def test_the_same_methods(serve: Serve, legacy: bool) -> None:
    server = serve(legacy=legacy)

    async def main() -> None:
        async with AsyncBertClient(**server.ports) as client:
            vectors = await client.encode(["今天", "b"])
            np.testing.assert_array_equal(vectors, server.vectors(["今天", "b"]))
            assert vectors.flags.writeable
            await client.encode(["abc"], blocking=False)
            await client.encode(["x"])
            await client.encode(["abcd"], blocking=False)
            assert client.status["num_pending_request"] == 2
            assert sorted(await lengths_of(client.fetch())) == [3, 4]
            for texts in batches(3):
                await client.encode(texts, blocking=False)
            assert (await client.fetch_all(concat=True))[:, 0].tolist() == [1, 2, 3]
            assert await client.fetch_all() is None
            assert (await client.server_config()) == server.config
            assert (await client.server_status())["statistic"]["num_data_request"] == 7
            with pytest.raises(TypeError):
                await client.encode("text")  # type: ignore[arg-type]

    asyncio.run(main())


def test_tasks_share_a_client(serve: Serve) -> None:
    def reversed_in_pairs(server: FakeServer, request: Request) -> None:
        if len(server.requests) % 2 == 0:
            server.answer(server.requests[-1])
            server.answer(server.requests[-2])

    async def main() -> None:
        async with AsyncBertClient(**serve(reversed_in_pairs).ports) as client:
            answers = await asyncio.gather(*(client.encode(["x" * length]) for length in range(1, 301)))
            assert [one[0, 0] for one in answers] == list(range(1, 301))
            for texts in batches(20):
                await client.encode(texts, blocking=False)
            parts = await asyncio.gather(*(lengths_of(client.fetch()) for _ in range(3)))
            assert sorted(length for part in parts for length in part) == list(range(1, 21))

    asyncio.run(main())


def test_the_first_contact_is_made_once_and_by_the_first_call(serve: Serve) -> None:
    server = serve()

    async def main() -> None:
        client = AsyncBertClient(**server.ports)
        await asyncio.gather(*(client.encode(["x"]) for _ in range(5)))
        await client.close()
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.encode(["x"])

    asyncio.run(main())
    assert server.commands == [b"SHOW_CONFIG"]


def test_a_wrong_version_and_nobody_there(serve: Serve, closed_ports: dict[str, Any]) -> None:
    async def enter(**options: Any) -> None:
        async with AsyncBertClient(**options):
            pass

    with pytest.raises(AttributeError, match="version mismatch"):
        asyncio.run(enter(**serve(server_version="2").ports))
    with pytest.raises(TimeoutError, match="first contact"):
        asyncio.run(enter(timeout=150, **closed_ports))


def test_errors_slow_work_and_silence(serve: Serve) -> None:
    server = serve(slowly(2.0))

    async def main() -> None:
        async with AsyncBertClient(timeout=800, **server.ports) as client:
            answers = await asyncio.gather(*(client.encode(["x" * length]) for length in (1, 2, 3)))
            assert [one[0, 0] for one in answers] == [1, 2, 3]
            server.script = lambda server, request: server.fail(request, "overloaded", "busy")  # for 800 ms
            with pytest.raises(ServerOverloadedError, match="busy"):
                await client.encode(["x"])
            server.deaf = True
            results = await asyncio.gather(*(client.encode(["x"]) for _ in range(3)), return_exceptions=True)
            assert [type(result) for result in results] == [TimeoutError] * 3
            assert client.status["num_pending_request"] == 0

    asyncio.run(main())


def test_a_restart_loses_nothing(serve: Serve) -> None:
    server = serve(slowly(1000))

    async def main() -> None:
        async with AsyncBertClient(timeout=6000, **server.ports) as client:
            calls = [asyncio.create_task(client.encode(["x" * length])) for length in range(1, 31)]
            while len(server.requests) < 30:
                await asyncio.sleep(0.01)
            server.stop()
            serve(**server.ports)
            assert [one[0, 0] for one in await asyncio.gather(*calls)] == list(range(1, 31))

    asyncio.run(main())


def test_a_request_lost_every_time_is_given_up(serve: Serve) -> None:
    server = serve(lambda server, request: server.known.clear())

    async def main() -> None:
        async with AsyncBertClient(timeout=1500, **server.ports) as client:
            with pytest.raises(RequestLostError):
                await client.encode(["x"])

    asyncio.run(main())


def test_a_cancelled_call_leaves_nothing(serve: Serve) -> None:
    server = serve(slowly(0.2))

    async def main() -> None:
        async with AsyncBertClient(**server.ports) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.encode(["late"]), 0.05)
            assert client.status["num_pending_request"] == 0
            assert (await client.encode(["abc"]))[0, 0] == 3
            assert not client._session.ready

    asyncio.run(main())


def test_closing_ends_the_calls_under_way(serve: Serve) -> None:
    server = serve(slowly(1000))

    async def main() -> None:
        client = AsyncBertClient(timeout=-1, **server.ports)
        call = asyncio.create_task(client.encode(["x"]))
        while not server.requests:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await asyncio.wait_for(call, 5)

    asyncio.run(main())


def test_another_event_loop_is_refused(serve: Serve) -> None:
    client = AsyncBertClient(**serve().ports)
    asyncio.run(_encode_one(client))
    with pytest.raises(RuntimeError, match="event loop"):
        asyncio.run(_encode_one(client))


async def _encode_one(client: AsyncBertClient) -> None:
    await client.encode(["x"])


def test_a_stream_from_a_plain_generator(serve: Serve) -> None:
    async def main() -> None:
        async with AsyncBertClient(**serve().ports) as client:
            assert sorted(await lengths_of(client.encode_async(batches(2 * WINDOW)))) == list(range(1, 2 * WINDOW + 1))
            source = batches(10)
            assert len(await lengths_of(client.encode_async(source, max_num_batch=3))) == 3
            assert len(list(source)) == 7

    asyncio.run(main())


def test_results_come_while_the_next_batch_is_made(serve: Serve) -> None:
    """The generator waits for the result of its last batch: one that is drawn ahead would hang."""

    async def main() -> None:
        arrived = asyncio.Event()

        async def in_turn() -> AsyncIterator[list[str]]:
            for length in (1, 2, 3):
                yield ["x" * length]
                await arrived.wait()
                arrived.clear()

        got = []
        async with AsyncBertClient(**serve(slowly(0.05)).ports) as client:
            async for response in client.encode_async(in_turn()):
                got.append(response.embedding[0, 0])
                arrived.set()
        assert got == [1, 2, 3]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_stream_that_breaks_or_is_stopped(serve: Serve) -> None:
    async def breaking() -> AsyncIterator[list[str]]:
        for texts in batches(3):
            yield texts
        raise LookupError("no more tea")

    async def endless() -> AsyncIterator[list[str]]:
        while True:
            await asyncio.sleep(0)
            yield ["x"]

    async def main() -> None:
        got: list[float] = []
        async with AsyncBertClient(**serve().ports) as client:
            with pytest.raises(LookupError, match="no more tea"):
                await collect(client.encode_async(breaking()), got)
            assert sorted(got) == [1, 2, 3]
            stream = client.encode_async(endless())
            for _ in range(5):
                await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
            assert client.status["num_pending_request"] == 0
            assert (await client.encode(["xyz"]))[0, 0] == 3
            assert await client.fetch_all() is None

    asyncio.run(asyncio.wait_for(main(), 20))


async def collect(stream: AsyncIterator[Any], got: list[float]) -> None:
    async for response in stream:
        got.append(response.embedding[0, 0])


def test_errors_in_fetch_and_streams_leave_the_others(serve: Serve) -> None:
    def fail_two(server: FakeServer, request: Request) -> None:
        if len(request.texts[0]) == 2:
            server.fail(request, "too_large", "too much")
        else:
            server.answer(request)

    async def main() -> None:
        async with AsyncBertClient(**serve(fail_two).ports) as client:
            for texts in batches(4):
                await client.encode(texts, blocking=False)
            with pytest.raises(BertServingError, match="too much"):
                await client.fetch_all()
            assert [one[0, 0] for one in await client.fetch_all()] == [1, 3, 4]
            got: list[float] = []
            with pytest.raises(BertServingError, match="too much"):
                await collect(client.encode_async(batches(5)), got)
            await collect(client.fetch(), got)
            assert 2 not in got
            assert len(got) == len(set(got))

    asyncio.run(main())
