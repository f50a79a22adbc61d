"""Workers that die, hang or raise: nothing that was accepted is lost, and one text harms only itself."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from tests.server.support import Connect, StartServer, expected, random_texts, wait_until


def test_killed_workers_lose_nothing(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-num_worker", "2", "-max_batch_size", "4", "-engine_option", "batch_seconds=0.02")
    rng = np.random.default_rng(3)
    clients = [connect(server, b"client-%d" % number) for number in range(4)]
    asked = {}
    for request in range(10):
        for number, client in enumerate(clients):
            asked[number, request] = random_texts(rng, 6)
            client.send(asked[number, request], request)
    watcher = connect(server, b"watcher")
    for _ in range(3):
        victim = watcher.ask(b"SHOW_STATUS")["workers"][0]
        if victim["state"] in ("idle", "busy"):
            os.kill(victim["pid"], signal.SIGKILL)
        time.sleep(0.3)
    for number, client in enumerate(clients):
        for _ in range(10):
            request, vectors, _ = client.vectors(30)
            np.testing.assert_allclose(vectors, expected(asked.pop((number, request))), atol=1e-6)
    assert not asked
    wait_until(lambda: all(w["state"] == "idle" for w in watcher.ask(b"SHOW_STATUS")["workers"]))
    assert sum(w["restarts"] for w in watcher.ask(b"SHOW_STATUS")["workers"]) >= 1
    server.wait_for("killed by SIGKILL")


def test_idle_worker_that_dies_is_replaced(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    os.kill(server.children()[0], signal.SIGKILL)
    server.wait_for("ready and listening!", 2)
    client = connect(server)
    client.send(["a"], 1)
    assert client.vectors()[0] == 1


def test_a_text_alone_is_tried_again_when_its_worker_dies_by_chance(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server("-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=1")
    client = connect(server)
    client.send(["a"], 1)

    def worker() -> dict[str, Any]:
        return client.ask(b"SHOW_STATUS")["workers"][0]

    for deaths in (1, 2):
        wait_until(lambda: worker()["state"] == "busy")
        os.kill(worker()["pid"], signal.SIGKILL)
        wait_until(lambda deaths=deaths: worker()["restarts"] == deaths)
    number, vectors, _ = client.vectors(30)
    assert number == 1
    np.testing.assert_allclose(vectors, expected(["a"]), atol=1e-6)


def test_text_that_kills_the_worker_fails_alone(start_server: StartServer, connect: Connect) -> None:
    # id 29 is the letter z
    server = start_server(
        "-engine_option", "crash_id=29", "-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=1"
    )
    good, bad = connect(server, b"good"), connect(server, b"bad")
    good.ask(b"SHOW_CONFIG")
    bad.ask(b"SHOW_CONFIG")
    good.send(["a"], 1)  # keeps the worker busy while one batch gathers behind it
    wait_until(lambda: good.ask(b"SHOW_STATUS")["workers"][0]["state"] == "busy")
    texts = {number: [f"b {letter}"] for number, letter in enumerate("cdefg", 2)}
    for number in texts:
        good.send(texts[number], number)
    bad.send(["b", "c z"], 1)
    assert good.vectors()[0] == 1
    for _ in texts:
        number, vectors, _ = good.vectors(60)
        np.testing.assert_allclose(vectors, expected(texts[number]), atol=1e-6)
    number, error = bad.error(60)
    assert (number, error["code"]) == (1, "engine_failed")
    assert "texts[1]" in error["message"]
    bad.send(["b"], 2)
    assert bad.vectors(30)[0] == 2


def test_text_that_raises_fails_alone(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "error_id=29")
    pid = server.children()
    client = connect(server)
    client.send(["a", "z", "b"], 1)
    number, error = client.error()
    assert (number, error["code"]) == (1, "engine_failed")
    assert "texts[1] cannot be encoded: the engine raised RuntimeError" in error["message"]
    client.send(["a", "b"], 2)
    assert client.vectors()[0] == 2
    assert server.children() == pid


def test_stuck_worker_is_replaced(start_server: StartServer, connect: Connect) -> None:
    # also the longest time a worker may take for its start
    server = start_server("-worker_timeout", "2", "-engine_option", "sleep_id=29", "-engine_option", "sleep_seconds=60")
    client = connect(server)
    client.send(["z"], 1)
    number, error = client.error(30)
    assert (number, error["code"]) == (1, "engine_failed")
    assert "no sign of life for 2 s" in error["message"]
    client.send(["a"], 2)
    assert client.vectors(30)[0] == 2


def test_worker_out_of_memory_is_replaced(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "memory_id=29")
    pids = server.children()
    client = connect(server)
    client.send(["a", "z", "b"], 1)
    number, error = client.error(60)
    assert (number, error["code"]) == (1, "engine_failed")
    assert "texts[1] cannot be encoded: the worker died (out of memory)" in error["message"]
    client.send(["a"], 2)
    np.testing.assert_allclose(client.vectors(30)[1], expected(["a"]), atol=1e-6)
    assert server.children() != pids


def test_few_workers_die_of_one_text(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "crash_id=29", "-max_batch_size", "64")
    client = connect(server)
    client.send(["a"] * 50 + ["z"] + ["b"] * 13, 1)
    assert "texts[50]" in client.error(60)[1]["message"]
    client.send(["a"], 2)
    client.vectors(30)
    assert client.ask(b"SHOW_STATUS")["workers"][0]["restarts"] <= 5
