"""The end of a server: what is still answered, how long it waits, who is told."""

from __future__ import annotations

import signal
import time

import zmq

from tests.server.support import Connect, StartServer, wait_until


def test_whoever_asks_in_the_last_moment_is_told(start_server: StartServer, connect: Connect) -> None:
    """A client whose answer was the last one has its next request on the way when nothing keeps the server any more."""
    server = start_server("-engine_option", "batch_seconds=0.5")
    client = connect(server)
    client.ask(b"SHOW_CONFIG")
    client.send(["a"], 1)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 1)
    server.process.send_signal(signal.SIGTERM)
    assert client.vectors()[0] == 1
    time.sleep(0.06)
    client.send(["b"], 2)
    number, error = client.error()
    assert (number, error["code"]) == (2, "shutting_down")
    assert server.exit_status() == 0


def test_the_wait_for_running_requests_is_bounded(start_server: StartServer, connect: Connect) -> None:
    flags = ["-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=60", "-drain_timeout", "0.5"]
    server = start_server(*flags)
    client = connect(server)
    client.send(["a"], 5)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 1)
    assert server.end() == 0
    assert "1 requests are given up" in server.log
    number, error = client.error()
    assert (number, error["code"]) == (5, "shutting_down")


def test_answers_for_a_slow_reader_go_out_before_the_end(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-pooling_strategy", "NONE", "-max_seq_len", "64")
    slow, other = connect(server, b"slow", listen=False), connect(server, b"other")
    slow.sub.setsockopt(zmq.RCVHWM, 1)
    slow.listen(b"slow")
    other.ask(b"SHOW_CONFIG")
    for number in range(100):  # 2 MB each: more than the socket takes, less than a client may have waiting
        slow.send(["a"] * 1000, number)

    def is_blocked() -> bool:
        queue = other.ask(b"SHOW_STATUS")["queue"]
        return queue["waiting_requests"] == 0 and queue["waiting_reply_bytes"] > 0

    wait_until(is_blocked, 60)
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("shutting down: SIGTERM")
    assert sorted(slow.vectors(30)[0] for _ in range(100)) == list(range(100))
    assert server.exit_status() == 0
