from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bert_serving.client import (
    BadReplyError,
    BadRequestError,
    BertClient,
    BertServingError,
    ServerOverloadedError,
)
from bert_serving.client.errors import ERROR_CLASSES

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]


@pytest.mark.parametrize("legacy", [False, True])
def test_encode_gives_writable_vectors_in_order(serve: Serve, legacy: bool) -> None:
    server = serve(legacy=legacy)
    texts = ["今天真开心", "b", "\ud800 lone"]
    with BertClient(**server.ports) as client:
        vectors = client.encode(texts)
        np.testing.assert_array_equal(vectors, server.vectors(texts))
        vectors += 1
        tokens = [["a", "b"], ["c"]]
        np.testing.assert_array_equal(client.encode(tokens, is_tokenized=True), server.vectors(tokens))
        assert client.server_status["statistic"]["num_data_request"] == 2
        assert client.server_config == server.config
    assert [len(request.frames) for request in server.requests] == [4, 4]
    assert [request.frames[3] for request in server.requests] == [b"3", b"2"]


def test_half_precision_and_token_level_output(serve: Serve) -> None:
    array = np.arange(12, dtype=np.float16).reshape(1, 3, 4)
    server = serve(lambda server, request: server.answer(request, array))
    with BertClient(**server.ports) as client:
        vectors = client.encode(["x"])
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, array)


def test_tokens_come_with_the_vectors(serve: Serve) -> None:
    tokens = [["[CLS]", "x", "[SEP]"]]
    server = serve(lambda server, request: server.answer(request, tokens=tokens), show_tokens_to_client=True)
    with BertClient(**server.ports) as client:
        vectors, shown = client.encode(["x"], show_tokens=True)
        assert (vectors.shape, shown) == ((1, 2), tokens)
        assert client.encode(["x"]).shape == (1, 2)
        client.encode(["x"], blocking=False)
        assert next(iter(client.fetch())).tokens == tokens


def test_tokens_that_the_server_does_not_show(serve: Serve) -> None:
    server = serve()
    with BertClient(**server.ports) as client, pytest.warns(UserWarning, match="show_tokens_to_client") as caught:
        assert client.encode(["x"], show_tokens=True).shape == (1, 2)
    assert caught[0].filename == __file__


def test_fetch_after_a_blocking_call_in_between(serve: Serve) -> None:
    server = serve()
    with BertClient(**server.ports) as client:
        client.encode(["first"], blocking=False)
        client.encode(["second"])
        _ = client.server_status
        client.encode(["third!"], blocking=False)
        assert client.status["num_pending_request"] == 2
        got = {response.id: response.embedding[0, 0] for response in client.fetch()}
        assert sorted(got.values()) == [5, 6]
        assert list(client.fetch()) == []
        assert client.fetch_all() is None
        assert client.status["pending_request"] == set()


def test_fetch_all_sorts_and_joins(serve: Serve) -> None:
    def longest_first(server: FakeServer, request: Request) -> None:
        if len(server.requests) == 3:
            for one in sorted(server.requests, key=lambda one: -len(one.texts[0])):
                server.answer(one)

    batches = [["a"], ["bb", "b"], ["ccc"]]
    with BertClient(**serve(longest_first).ports) as client:
        for batch in batches:
            client.encode(batch, blocking=False)
        assert [one[0, 0] for one in client.fetch_all()] == [1, 2, 3]
    with BertClient(**serve(longest_first).ports) as client:
        for batch in batches:
            client.encode(batch, blocking=False)
        assert [one[0, 0] for one in client.fetch_all(sort=False)] == [3, 2, 1]
    with BertClient(output_fmt="list", **serve(longest_first).ports) as client:
        for batch in batches:
            client.encode(batch, blocking=False)
        assert [row[0] for row in client.fetch_all(concat=True)] == [1, 2, 1, 3]


def test_many_outstanding_requests_lose_nothing(serve: Serve) -> None:
    """The server blocks, and then fails, unless the client takes in what nobody fetches yet."""
    array = np.zeros((1, 4000), np.float32)
    server = serve(lambda server, request: server.answer(request, array))
    with BertClient(**server.ports) as client:
        for _ in range(3000):
            client.encode(["x"], blocking=False)
        while len(server.requests) < 3000 or server.known:
            assert server.is_alive
            time.sleep(0.01)
        assert len(client.fetch_all()) == 3000


def test_sending_never_blocks(closed_ports: dict[str, Any]) -> None:
    with BertClient(ignore_all_checks=True, timeout=100, **closed_ports) as client:
        for _ in range(3000):
            client.encode(["x"], blocking=False)
        with pytest.raises(TimeoutError):
            client.fetch_all()
        assert client.status["num_pending_request"] == 3000


def test_the_first_request_without_checks_is_not_lost(serve: Serve) -> None:
    server = serve()
    for number in range(30):
        with BertClient(ignore_all_checks=True, timeout=5000, **server.ports) as client:
            assert client.encode(["x" * (number + 1)])[0, 0] == number + 1
    assert server.commands == []


def test_a_duplicate_answer_is_dropped(serve: Serve) -> None:
    def twice(server: FakeServer, request: Request) -> None:
        server.answer(request)
        server.answer(request)

    with BertClient(**serve(twice).ports) as client:
        for length in (1, 2, 3):
            assert client.encode(["x" * length])[0, 0] == length
        client.encode(["xxxx"], blocking=False)
        assert [response.embedding[0, 0] for response in client.fetch()] == [4]


def test_answers_to_a_longer_identity_are_not_taken(serve: Serve) -> None:
    def other_first(server: FakeServer, request: Request) -> None:
        body = np.full((1, 2), 666, np.float32).tobytes()
        server.publish([b"user10", b'{"dtype": "float32", "shape": [1, 2]}', body, b"%d" % request.id])
        server.answer(request)

    server = serve(other_first, legacy=True)
    with BertClient(identity="user1", **server.ports) as client:
        assert client.encode(["xy"])[0, 0] == 2


@pytest.mark.parametrize("code", sorted(ERROR_CLASSES))
def test_a_server_error_is_raised_with_its_reason(serve: Serve, code: str) -> None:
    server = serve(lambda server, request: server.fail(request, code, "no, not today"))
    with BertClient(retry=False, **server.ports) as client:
        with pytest.raises(ERROR_CLASSES[code], match=r"^no, not today$") as caught:
            client.encode(["x"])
        assert caught.value.code == code
        server.script = type(server).answer
        assert client.encode(["xyz"])[0, 0] == 3


def fail_every_third(server: FakeServer, request: Request) -> None:
    if len(server.requests) % 3 == 0:
        server.fail(request, "overloaded", "busy")
    else:
        server.answer(request)


def test_fetch_goes_on_after_the_error_of_one_request(serve: Serve) -> None:
    with BertClient(retry=False, **serve(fail_every_third).ports) as client:
        for length in range(1, 10):
            client.encode(["x" * length], blocking=False)
        lengths, failures = [], []
        while client.status["num_pending_request"]:
            try:
                for response in client.fetch():
                    lengths.append(response.embedding[0, 0])
            except ServerOverloadedError as error:
                failures.append(error.request_id)
    assert lengths == [1, 2, 4, 5, 7, 8]
    assert len(set(failures)) == 3


def test_fetch_all_keeps_the_others_when_one_request_failed(serve: Serve) -> None:
    with BertClient(retry=False, **serve(fail_every_third).ports) as client:
        for length in range(1, 6):
            client.encode(["x" * length], blocking=False)
        with pytest.raises(ServerOverloadedError):
            client.fetch_all()
        assert [one[0, 0] for one in client.fetch_all()] == [1, 2, 4, 5]
        assert client.fetch_all() is None


def test_a_reply_of_nonsense_is_an_error_of_that_request(serve: Serve) -> None:
    def nonsense(server: FakeServer, request: Request) -> None:
        server.publish([request.identity + b"\0", b"{", b"", b"%d" % request.id])

    server = serve(nonsense)
    with BertClient(**server.ports) as client:
        with pytest.raises(BadReplyError):
            client.encode(["x"])
        server.script = type(server).answer
        assert client.encode(["xyz"])[0, 0] == 3


def test_cut_texts_are_reported_once_per_call(serve: Serve) -> None:
    server = serve(lambda server, request: server.answer(request, task="encode", truncated=[0, 2]), max_seq_len=9)
    with BertClient(**server.ports) as client:
        with pytest.warns(UserWarning, match=r"2 of the 3 texts.*max_seq_len=9.*-max_seq_len") as caught:
            client.encode(["x", "y", "z"])
        assert caught[0].filename == __file__
        for _ in range(3):
            client.encode(["x", "y", "z"], blocking=False)
        with pytest.warns(UserWarning, match="2 of the 3") as caught:
            client.fetch_all()
        assert len(caught) == 1


def test_length_is_guessed_only_for_servers_that_do_not_report_it(serve: Serve) -> None:
    long = ["word " * 30]
    with BertClient(**serve(legacy=True).ports) as client:
        with pytest.warns(UserWarning, match="max_seq_len=25"):
            client.encode(long)
        with pytest.warns(UserWarning, match="max_seq_len=25"):
            client.encode([["w"] * 26], is_tokenized=True)
    unlimited = BertClient(**serve(legacy=True, max_seq_len=None).ports)
    with unlimited, pytest.warns(UserWarning, match="no fixed"):
        unlimited.encode(["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with BertClient(**serve(max_seq_len=None).ports) as client:
            client.encode(long)
        with BertClient(**serve().ports) as client:
            client.encode(long)
        with BertClient(check_length=False, **serve(legacy=True).ports) as client:
            client.encode(long)


def test_another_thread_is_refused_while_a_call_runs(serve: Serve) -> None:
    server = serve(lambda server, request: server.after(0.3, lambda: server.answer(request)))
    results: list[Any] = []
    with BertClient(**server.ports) as client:
        thread = threading.Thread(target=lambda: results.append(client.encode(["abc"])))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        for call in (lambda: client.encode(["x"]), lambda: client.server_status, client.close):
            with pytest.raises(RuntimeError, match="one thread"):
                call()
        thread.join()
        assert results[0][0, 0] == 3
        assert client.encode(["xy"])[0, 0] == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_refused_and_does_no_harm(serve: Serve) -> None:
    client = BertClient(**serve().ports)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        status = 1
        try:
            client.encode(["x"])
        except RuntimeError as error:
            status = 0 if "fork" in str(error) else 2
        client.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.encode(["xy"])[0, 0] == 2
    client.close()


def test_a_closed_client_says_so(serve: Serve) -> None:
    client = BertClient(**serve().ports)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.encode(["x"])


@pytest.mark.parametrize("kind", ["BertClient", "AsyncBertClient"])
def test_clients_that_are_never_closed_do_not_block_the_end(serve: Serve, kind: str) -> None:
    server = serve()
    script = f"""
import asyncio, gc
from bert_serving.client import {kind}
async def use():
    client = {kind}(port={server.port}, port_out={server.port_out})
    client.cycle = client
    pending = client.encode(["x"], blocking=False)
    return pending and await pending
asyncio.run(use())
gc.collect()
left = {kind}(port={server.port}, port_out={server.port_out})
print("end")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("end\n", "")


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(BadRequestError("why not", request_id=3)))
    assert (type(error), error.code, error.message, error.request_id) == (BadRequestError, "bad_request", "why not", 3)
    assert isinstance(error, BertServingError)
