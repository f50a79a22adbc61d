"""Bounds on what a peer may ask for, and on what its faults may cost."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import asdict

import pytest
from bert_serving.server.frontends.json_texts import parse_texts
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError

from tests.preloaded import ROOT
from tests.server.support import Connect, RunningServer, StartServer, free_ports, wait_until
from tests.server.test_http import call


@pytest.fixture(scope="module")
def http_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def server(start_server: StartServer, http_port: int) -> RunningServer:
    return start_server("-max_request_texts", "3", "-http_port", str(http_port))


def test_more_texts_than_a_request_may_have(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    client.send(["a"] * 4, 1)
    number, error = client.error()
    assert (number, error["code"]) == (1, "too_large")
    assert "at most 3 texts (-max_request_texts)" in error["message"]
    client.send(["a"] * 4, 2, 3)  # says 3 and sends 4
    assert client.error()[1]["code"] == "bad_request"
    client.send(["a"] * 3, 3)
    assert client.vectors()[1].shape == (3, 8)


def test_more_texts_than_a_request_may_have_over_http(server: RunningServer, http_port: int) -> None:
    status, answer, _ = call(http_port, "/encode", {"id": 1, "texts": ["a"] * 4})
    assert (status, answer["type"]) == (413, "too_large")
    assert call(http_port, "/encode", {"id": 1, "texts": ["a"] * 3})[0] == 200


def test_bytes_of_waiting_requests_are_bounded(start_server: StartServer, connect: Connect) -> None:
    """Each text counts 4 KB, whatever it holds, so that two of these requests are more than the 4 GB."""
    server = start_server("-engine_option", "load_seconds=4", ready=False)
    client = connect(server)
    client.ask(b"SHOW_CONFIG")
    for number in (1, 2, 3):
        client.send(b" " * 1_000_000, number, 1_000_000)
    number, error = client.error()
    assert (number, error["code"]) == (3, "overloaded")
    assert sorted(client.error()[0] for _ in range(2)) == [1, 2]  # when the worker is there: not a JSON list
    client.send(["a"], 4)
    assert client.vectors()[0] == 4
    assert client.ask(b"SHOW_STATUS")["queue"]["waiting_bytes"] == 0


def written(name: str, value: float) -> str:
    """A value as documents write it."""
    if name.endswith("seconds"):
        return f"{value:g} s"
    if not name.endswith("bytes"):
        return f"{value:,}"
    steps = [(value / (1 << 10 * step), unit) for step, unit in enumerate(("B", "KB", "MB", "GB"))]
    return "{:g} {}".format(*[step for step in steps if step[0] >= 1][-1])


def test_the_documents_have_every_limit() -> None:
    section = (ROOT / "docs/security.md").read_text().partition("## Limits")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    assert rows == [(name, written(name, value)) for name, value in asdict(Limits()).items()]


def test_tokens_of_a_request_are_bounded() -> None:
    limits = Limits(max_tokens=5)
    assert parse_texts(b'[["a", "b"], ["c", "d", "e"]]', 2, limits) == [["a", "b"], ["c", "d", "e"]]
    with pytest.raises(RequestError, match="at most 5 tokens") as caught:
        parse_texts(b'[["a", "b", "c"], ["d", "e", "f"]]', 2, limits)
    assert caught.value.code == "too_large"


def test_nonsense_at_the_http_port_does_not_fill_the_log(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port))
    began = time.monotonic()
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(b"nonsense\r\n\r\n")
            assert peer.recv(100).startswith(b"HTTP/1.1 400")
    assert call(port, "/health")[0] == 200
    assert server.end() == 0
    assert 1 <= server.log.count("Invalid HTTP request") <= 10 * (time.monotonic() - began + 2)


def test_peers_faults_do_not_fill_the_log(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    client = connect(server)
    for number in range(300):
        client.send(["a"], number, 1, b"nonsense")
    for _ in range(300):
        client.error()
    suppressed = client.ask(b"SHOW_STATUS")["queue"]["suppressed_log_lines"]
    assert suppressed > 0
    wait_until(lambda: len(re.findall(r"^W:.* refused: ", server.log, re.MULTILINE)) == 300 - suppressed)
