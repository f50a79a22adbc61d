"""Clients of this project in numbers, in a full queue, and across restarts of the server."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zmq
from bert_serving.client import BertClient

from tests.server.support import Connect, RawClient, RunningServer, StartServer, expected, random_texts, wait_until


def ask(server: RunningServer, seed: int, requests: int) -> int:
    """Requests of one client, each compared; how many were right."""
    rng = np.random.default_rng(seed)
    with BertClient(port=server.port, port_out=server.port_out, timeout=60_000) as client:
        for _ in range(requests):
            texts = random_texts(rng, int(rng.integers(1, 9)))
            np.testing.assert_allclose(client.encode(texts), expected(texts), atol=1e-5)
    return requests


def test_full_queue_slows_clients_down_and_fails_none(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-max_queue", "2", "-engine_option", "batch_seconds=0.01")
    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(lambda seed: ask(server, seed, 10), range(12))) == 120
    server.wait_for("requests wait already; ask again later")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restart_under_waiting_clients(start_server: StartServer, how: int) -> None:
    flags = ("-engine_option", "batch_seconds=0.02", "-max_batch_size", "8", "-drain_timeout", "0.2")
    server = start_server(*flags)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(ask, server, seed, 60) for seed in range(6)]
        time.sleep(1)
        server.end(how)
        again = start_server(*flags, "-port", str(server.port), "-port_out", str(server.port_out))
        assert [answer.result(90) for answer in answers] == [60] * 6
    assert again.process.poll() is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_old_client_is_answered_when_it_asks_again_after_a_restart(
    start_server: StartServer, connect: Connect, how: int
) -> None:
    """It keeps its sockets, subscribes to its bare identity and knows nothing of the restart."""
    server = start_server()
    old = connect(server, b"old")
    old.send(["a"], 1)
    assert old.vectors()[0] == 1
    server.end(how)
    start_server("-port", str(server.port), "-port_out", str(server.port_out))
    old.send(["b c"], 2)
    number, vectors, _ = old.vectors(30)
    assert number == 2
    np.testing.assert_allclose(vectors, expected(["b c"]), atol=1e-6)


def test_clients_that_come_and_go_leave_nothing(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    watcher = connect(server, b"watcher")
    watcher.ask(b"SHOW_CONFIG")

    def descriptors() -> int:
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    before = descriptors()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda seed: ask(server, seed, 1), range(60))) == 60
    wait_until(lambda: watcher.ask(b"SHOW_STATUS")["queue"]["listening_identities"] == 1)
    wait_until(lambda: descriptors() <= before)


def test_many_clients_at_once(start_server: StartServer) -> None:
    server, rng = start_server("-num_worker", "2"), random.Random(1)
    clients = [RawClient(server, b"crowd-%d" % number) for number in range(100)]
    asked = {number: [rng.choice("abcdef")] * rng.randint(1, 5) for number in range(100)}
    try:
        for number, client in enumerate(clients):
            client.send(asked[number], number)
        for number, client in enumerate(clients):
            answered, vectors, _ = client.vectors(30)
            assert answered == number
            np.testing.assert_allclose(vectors, expected(asked[number]), atol=1e-6)
    finally:
        for client in clients:
            client.close()


def test_fuzzed_messages_between_good_ones(start_server: StartServer, connect: Connect) -> None:
    """Every message that could be answered is, and a good client notices nothing."""
    server, rng = start_server(), random.Random(7)
    good, bad = connect(server, b"good"), connect(server, b"bad")
    bad.sub.setsockopt(zmq.RCVHWM, 0)
    bad.ask(b"SHOW_CONFIG")
    payloads = [b"", b"[", b'["a"]', b"[1]", b"\xff", b"null", b"{}", b'[["a"]]', b"SHOW_STATE", b"SHOW_CONFIG"]
    numbers = [b"0", b"1", b"9" * 19, b"9" * 20, b"-1", b"x", b""]
    extras = [b"{}", b"[]", b'{"task": []}', b'{"task": "tag"}', b'{"request": 1e999}', b"{" * 1000]
    answerable = 0
    for number in range(2000):
        frames = [b"bad", rng.choice(payloads), rng.choice(numbers), rng.choice(numbers)]
        frames += [rng.choice(extras) for _ in range(rng.choice([0, 0, 1, 2]))]
        if rng.random() < 0.2:
            frames[rng.randrange(1, 4)] = rng.randbytes(10)
        answerable += frames[2].isdigit() and len(frames[2]) < 20
        bad.push.send_multipart(frames)
        if number % 100 == 0:
            good.send(["a b"], number)
            answered, vectors, _ = good.vectors()
            assert answered == number
            np.testing.assert_allclose(vectors, expected(["a b"]), atol=1e-6)
    for _ in range(answerable):
        assert bad.receive(20)[0] == b"bad\0"
    assert bad.silent()
    assert "Traceback" not in server.log
