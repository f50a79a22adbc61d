"""encode_async of the plain client."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from bert_serving.client import BertClient, Response, ServerOverloadedError
from bert_serving.client.requests.stream import WINDOW

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]


def batches(count: int) -> Iterator[list[str]]:
    for length in range(1, count + 1):
        yield ["x" * length]


def collect(stream: Iterator[Response], lengths: list[float]) -> None:
    lengths.extend(response.embedding[0, 0] for response in stream)


def test_a_slow_generator_loses_nothing(serve: Serve) -> None:
    def slowly() -> Iterator[list[str]]:
        for batch in batches(4):
            time.sleep(0.15)
            yield batch

    with BertClient(**serve().ports) as client:
        assert sorted(one.embedding[0, 0] for one in client.encode_async(slowly(), delay=0.01)) == [1, 2, 3, 4]


def test_a_slow_server_gets_many_batches_but_not_too_many(serve: Serve) -> None:
    maximum = 0

    def count(server: FakeServer, request: Request) -> None:
        nonlocal maximum
        maximum = max(maximum, len(server.known))
        server.after(0.02, lambda: server.answer(request))

    with BertClient(**serve(count).ports) as client:
        got = [one.embedding[0, 0] for one in client.encode_async(batches(3 * WINDOW))]
    assert sorted(got) == list(range(1, 3 * WINDOW + 1))
    assert 1 < maximum <= WINDOW


def test_max_num_batch_draws_no_more(serve: Serve) -> None:
    source = iter(batches(10))
    with BertClient(**serve().ports) as client:
        assert len(list(client.encode_async(source, max_num_batch=3))) == 3
    assert len(list(source)) == 7


def test_tokenized_batches(serve: Serve) -> None:
    with BertClient(**serve().ports) as client:
        got = list(client.encode_async(iter([[["a", "b"], ["c"]]]), is_tokenized=True))
    assert got[0].embedding[:, 0].tolist() == [2, 1]


def test_the_generators_exception_comes_after_what_was_sent_before(serve: Serve) -> None:
    def breaking() -> Iterator[list[str]]:
        yield from batches(3)
        raise LookupError("no more tea")

    got: list[float] = []
    with BertClient(**serve().ports) as client:
        with pytest.raises(LookupError, match="no more tea"):
            collect(client.encode_async(breaking()), got)
        assert sorted(got) == [1, 2, 3]
        assert client.status["num_pending_request"] == 0


def test_a_bad_batch_is_an_argument_fault(serve: Serve) -> None:
    got: list[float] = []
    with BertClient(**serve().ports) as client, pytest.raises(ValueError, match="non-empty"):
        collect(client.encode_async(iter([["fine"], [""]])), got)
    assert len(got) == 1


def test_stopping_early_neither_hangs_nor_leaves_anything(serve: Serve) -> None:
    with BertClient(**serve().ports) as client:
        stream: Any = client.encode_async(["x"] for _ in itertools.count())
        for _ in range(5):
            next(stream)
        stream.close()
        assert client.status["num_pending_request"] == 0
        assert client.encode(["xyz"])[0, 0] == 3
        assert client.fetch_all() is None
    assert all("bert" not in thread.name.lower() for thread in threading.enumerate())


def test_an_error_of_the_server_leaves_the_rest_to_fetch(serve: Serve) -> None:
    def fail_second(server: FakeServer, request: Request) -> None:
        if len(request.texts[0]) == 2:
            server.fail(request, "overloaded", "busy")
        else:
            server.answer(request)

    got: list[float] = []
    with BertClient(retry=False, **serve(fail_second).ports) as client:
        with pytest.raises(ServerOverloadedError):
            collect(client.encode_async(batches(6)), got)
        sent = client.status["num_request"] - 1
        got += [response.embedding[0, 0] for response in client.fetch()]
    assert sorted(got) == [length for length in range(1, sent + 1) if length != 2]


def test_requests_of_fetch_and_of_a_stream_do_not_mix(serve: Serve) -> None:
    with BertClient(**serve().ports) as client:
        client.encode(["x" * 99], blocking=False)
        streamed = []
        for response in client.encode_async(batches(5)):
            streamed.append(response.embedding[0, 0])
            if len(streamed) == 2:
                client.encode(["x" * 98])
        assert sorted(streamed) == [1, 2, 3, 4, 5]
        assert [response.embedding[0, 0] for response in client.fetch()] == [99]


def test_the_generator_may_use_the_client_itself(serve: Serve) -> None:
    with BertClient(**serve().ports) as client:
        lengths = (["x" * int(client.encode(["ab"])[0, 0])] for _ in range(3))
        assert [response.embedding[0, 0] for response in client.encode_async(lengths)] == [2, 2, 2]
