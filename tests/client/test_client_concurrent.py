from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from bert_serving.client import ConcurrentBertClient

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]


@pytest.mark.parametrize("identity", [None, "pool"])
def test_threads_get_their_own_answers(serve: Serve, identity: str | None) -> None:
    server = serve(lambda server, request: server.after(0.01, lambda: server.answer(request)))
    with (
        ConcurrentBertClient(4, identity=identity, **server.ports) as pool,
        ThreadPoolExecutor(4) as threads,
    ):
        lengths = list(range(1, 81))
        answers = threads.map(lambda length: pool.encode(["x" * length])[0, 0], lengths)
        assert list(answers) == lengths
        assert pool.server_status["statistic"]["num_data_request"] == 80
        assert pool.server_config["server_version"] == "1.10.0"
        assert pool.status["num_pending_request"] == 0


def test_an_empty_pool_and_closing_while_in_use(serve: Serve) -> None:
    asked, release = threading.Event(), threading.Event()

    def on_demand(server: FakeServer, request: Request) -> None:
        asked.set()

        def answer() -> None:
            release.wait(10)
            server.answer(request)

        server.after(0, answer)

    results: list[Any] = []
    pool = ConcurrentBertClient(max_concurrency=1, **serve(on_demand).ports)
    thread = threading.Thread(target=lambda: results.append(pool.encode(["abc"])))
    thread.start()
    assert asked.wait(10)
    with pytest.raises(RuntimeError, match=r"Too many concurrent connections.*max_concurrency"):
        pool.encode(["x"])
    pool.close()
    release.set()
    thread.join()
    assert results[0][0, 0] == 3
    assert [client._connection.closed for client in pool.available_bc] == [True]


def test_what_a_pool_cannot_do(serve: Serve) -> None:
    with ConcurrentBertClient(1, **serve().ports) as pool:
        for call in (
            pool.fetch,
            pool.fetch_all,
            lambda: pool.encode_async([]),
            lambda: pool.encode(["x"], blocking=False),
        ):
            with pytest.raises(NotImplementedError):
                call()
    with pytest.raises(ValueError, match="max_concurrency"):
        ConcurrentBertClient(0)


def test_a_failed_start_raises_once(closed_ports: dict[str, Any]) -> None:
    with pytest.raises(TimeoutError):
        ConcurrentBertClient(3, timeout=100, **closed_ports)
