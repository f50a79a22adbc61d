"""Callers who say nothing, who are too many, and who go away."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bert_serving.server import BertServer
from bert_serving.server.frontends.zmq.connections import Guard
from bert_serving.server.helper import get_args_parser
from bert_serving.server.limits import Limits
from bert_serving.server.process.descriptors import open_descriptors

from tests.engines.dummy import DUMMY
from tests.server.support import Connect, RawClient, StartServer, expected, free_ports, wait_until
from tests.server.test_http import call

HALF = b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-"
FEW_DESCRIPTORS = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))"


def dial(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(data)
    return connection


def request(body: Any, *headers: str, path: str = "/encode") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def read(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a reply after which the connection is closed."""
    data = b""
    while part := connection.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@contextlib.contextmanager
def slow_server(model_dir: Path, limits: Limits) -> Iterator[SimpleNamespace]:
    """In this process."""
    port, port_out, http_port = free_ports(3)
    arguments = ["-model_dir", str(model_dir), "-engine", DUMMY, "-port", str(port), "-port_out", str(port_out)]
    arguments += ["-http_port", str(http_port), "-max_batch_size", "1", "-engine_option", "batch_seconds=0.05"]
    with BertServer(get_args_parser().parse_args(arguments), limits):
        yield SimpleNamespace(port=port, port_out=port_out, http_port=http_port)


@pytest.fixture
def impatient(model_dir: Path) -> Iterator[SimpleNamespace]:
    """A server whose patience is short: half a second each."""
    limits = Limits(http_header_seconds=0.5, http_half_closed_seconds=0.5, zmq_gone_seconds=0.5)
    with slow_server(model_dir, limits) as server:
        yield server


@pytest.fixture
def patient(model_dir: Path) -> Iterator[SimpleNamespace]:
    with slow_server(model_dir, Limits(zmq_gone_seconds=60)) as server:
        yield server


def waiting(watcher: RawClient) -> dict[str, int]:
    return watcher.ask(b"SHOW_STATUS")["queue"]


def test_half_sent_requests_keep_nobody_out(start_server: StartServer, connect: Connect) -> None:
    """Under ``ulimit -n 200``: 300 of them, a worker that dies, a new ZeroMQ client, and HTTP callers meanwhile."""
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), anew=True, prologue=FEW_DESCRIPTORS)
    idle = [dial(port, HALF) for _ in range(300)]
    assert call(port, "/health")[0] == 200
    os.kill(server.children()[0], signal.SIGKILL)
    client = connect(server)
    client.send(["a b"], 1)
    np.testing.assert_allclose(client.vectors(30)[1], expected(["a b"]), atol=1e-6)
    status, answer, _ = call(port, "/encode", {"id": 1, "texts": ["a b"]})
    assert status == 200
    np.testing.assert_allclose(answer["result"], expected(["a b"]), atol=1e-6)
    assert len(server.lines) < 120
    assert "Traceback" not in server.log
    for one in idle:
        one.close()
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) < 100)
    assert server.end() == 0


def test_many_silent_zmq_connections_leave_descriptors(start_server: StartServer, connect: Connect) -> None:
    """libzmq takes every connection until there are no descriptors; who was heard stays, who came last is cut off."""
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), anew=True, prologue=FEW_DESCRIPTORS)
    client = connect(server, b"early")
    client.send(["a b"], 1)
    assert client.vectors()[0] == 1
    silent = [dial(server.port) for _ in range(120)] + [dial(server.port_out) for _ in range(120)]
    server.wait_for("peers were cut off", timeout=30)
    os.kill(server.children()[0], signal.SIGKILL)
    client.send(["c"], 2)
    np.testing.assert_allclose(client.vectors(30)[1], expected(["c"]), atol=1e-6)
    assert call(port, "/health")[0] == 200
    assert "Traceback" not in server.log
    for one in silent:
        one.close()
    assert server.end() == 0


def test_the_guard_cuts_off_those_never_heard_first() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        pairs = []
        for _ in range(6):
            outer = socket.create_connection(("127.0.0.1", port))
            pairs.append((outer, listener.accept()[0]))
        guard = Guard(port, 1 << 20, 1 << 30, 3)
        guard._heard.update(inner.fileno() for _, inner in pairs[2:5])
        assert guard.check() == 3
        closed = [outer.recv(1, socket.MSG_DONTWAIT) == b"" if _readable(outer) else False for outer, _ in pairs]
        assert closed == [True, True, False, False, False, True]
        for pair in pairs:
            for one in pair:
                one.close()


def _readable(connection: socket.socket) -> bool:
    import select

    return bool(select.select([connection], [], [], 0.1)[0])


def test_a_header_does_not_take_for_ever(impatient: Any) -> None:
    with dial(impatient.http_port) as silent, dial(impatient.http_port, HALF) as half:
        for connection in (silent, half):
            status, answer = read(connection)
            assert (status, answer["type"]) == (408, "bad_request")
            assert answer["description"] == "the header of a request did not come within 0.5 s"


def test_a_second_header_on_the_same_connection_neither(impatient: Any) -> None:
    with dial(impatient.http_port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        data = b""
        while b"}" not in data:
            data += connection.recv(65536)
        assert data.startswith(b"HTTP/1.1 200")
        time.sleep(0.7)  # an idle connection is kept for longer
        connection.sendall(HALF)
        assert read(connection)[0] == 408


def test_what_is_no_http_is_told_so_as_json(impatient: Any) -> None:
    with dial(impatient.http_port, b"\x16\x03\x01 this is TLS\r\n\r\n") as connection:
        status, answer = read(connection)
    assert (status, answer["status"], answer["type"]) == (400, 400, "bad_request")
    assert answer["description"].startswith("this is no HTTP/1.1 request")


def test_a_length_and_chunks_in_one_request(impatient: Any) -> None:
    """Two readers of it would not agree where it ends."""
    smuggled = request(b"0\r\n\r\n", "Transfer-Encoding: chunked") + request({"id": 1, "texts": ["a"]})
    with dial(impatient.http_port, smuggled) as connection:
        status, answer = read(connection)
    assert (status, answer["type"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "description"),
    [
        ("GET", "/nothing", 404, "there is no /nothing; POST /encode"),
        ("GET", "/encode", 405, "/encode takes POST, not GET"),
        ("POST", "/health", 405, "/health takes GET, HEAD, not POST"),
    ],
)
def test_wrong_routes_are_told_the_right_ones(
    impatient: Any, method: str, path: str, status: int, description: str
) -> None:
    found, answer, headers = call(impatient.http_port, path, {} if method == "POST" else None)
    assert (found, answer["status"]) == (status, status)
    assert answer["description"].startswith(description)
    assert headers["Content-Type"] == "application/json"
    if status == 405:
        assert headers["Allow"]


def test_content_encoding_is_refused(impatient: Any) -> None:
    status, answer, _ = call(impatient.http_port, "/encode", b"whatever", {"Content-Encoding": "gzip"})
    assert (status, answer["description"]) == (400, "Content-Encoding gzip is not understood; send the JSON as it is")


def test_json_with_a_byte_order_mark(impatient: Any) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"id": 1, "texts": ["a b"]}).encode()
    status, answer, _ = call(impatient.http_port, "/encode", body)
    assert status == 200
    np.testing.assert_allclose(answer["result"], expected(["a b"]), atol=1e-6)


def test_answers_do_not_wait_for_acknowledgements(impatient: Any) -> None:
    """A header and a body are two packets, and the second would wait 40 ms for a caller that acknowledges late."""
    with dial(impatient.http_port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert connection.recv(1)
        no_delay = []
        for descriptor in open_descriptors():
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as one:
                if one.family == socket.AF_INET and one.getsockname()[1] == impatient.http_port and one.getpeername():
                    no_delay.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        assert len(no_delay) == 1
        assert no_delay[0]


def test_half_closed_callers_get_a_quick_answer_and_a_line_for_a_slow_one(impatient: Any) -> None:
    """TCP does not tell one direction closed from both until something is sent."""
    with dial(impatient.http_port, request({"id": 1, "texts": ["a b"]})) as quick:
        quick.shutdown(socket.SHUT_WR)
        status, answer = read(quick)
    assert status == 200
    np.testing.assert_allclose(answer["result"], expected(["a b"]), atol=1e-6)
    with dial(impatient.http_port, request({"id": 1, "texts": ["a b"] * 200})) as slow:
        slow.shutdown(socket.SHUT_WR)
        status, answer = read(slow)
    assert status == 400
    assert "keep it open until the answer is there" in answer["description"]


def test_work_for_http_callers_who_hang_up_is_dropped(impatient: Any) -> None:
    watcher = RawClient(impatient, b"watcher")
    callers = [dial(impatient.http_port, request({"id": 1, "texts": ["a b"] * 400})) for _ in range(12)]
    wait_until(lambda: waiting(watcher)["waiting_http_requests"] == 12)
    for caller in callers:
        caller.close()
    wait_until(lambda: waiting(watcher)["waiting_http_requests"] == 0)
    assert waiting(watcher)["waiting_sequences"] == 0
    watcher.close()


def test_work_for_zmq_clients_who_are_gone_is_dropped(impatient: Any) -> None:
    watcher, gone = RawClient(impatient, b"watcher"), RawClient(impatient, b"gone")
    gone.ask(b"SHOW_CONFIG")
    for number in range(30):
        gone.send(["a b"] * 100, number)
    wait_until(lambda: waiting(watcher)["waiting_zmq_requests"] == 30)
    gone.close()
    wait_until(lambda: waiting(watcher)["waiting_zmq_requests"] == 0)
    assert waiting(watcher)["waiting_sequences"] == 0
    # if it was the network that was gone, there is an answer
    back = RawClient(impatient, b"gone")
    errors = dict(back.error() for _ in range(30))
    assert sorted(errors) == list(range(30))
    assert {error["code"] for error in errors.values()} == {"overloaded"}
    assert "did not listen for 0.5 s; send it again" in errors[0]["message"]
    for client in (watcher, back):
        client.close()


def test_a_client_that_comes_back_in_time_finds_its_work(patient: Any) -> None:
    watcher, gone = RawClient(patient, b"watcher"), RawClient(patient, b"gone")
    gone.ask(b"SHOW_CONFIG")
    gone.send(["a b"] * 40, 1)
    wait_until(lambda: waiting(watcher)["waiting_zmq_requests"] == 1)
    gone.close()
    wait_until(lambda: waiting(watcher)["listening_identities"] == 1)
    time.sleep(1.2)
    back = RawClient(patient, b"gone")
    np.testing.assert_allclose(back.vectors()[1], expected(["a b"] * 40), atol=1e-6)
    for client in (watcher, back):
        client.close()


def test_small_http_requests_go_ahead_of_large_ones(start_server: StartServer) -> None:
    """More large ones than -http_max_connect, each of them slower than the small one may be."""
    (port,) = free_ports(1)
    flags = ["-http_max_connect", "2", "-max_batch_size", "1", "-engine_option", "batch_seconds=0.02"]
    server = start_server("-http_port", str(port), *flags)
    done: list[int] = []

    def large(number: int) -> None:
        assert call(port, "/encode", {"id": number, "texts": ["a b"] * 30})[0] == 200
        done.append(number)

    threads = [threading.Thread(target=large, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: call(port, "/status/server")[1]["queue"]["waiting_http_requests"] == 6)
    assert call(port, "/encode", {"id": 9, "texts": ["a b"]})[0] == 200
    assert len(done) < 6
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(6))
    assert server.end() == 0


def test_one_count_over_both_doors(start_server: StartServer, connect: Connect) -> None:
    (port,) = free_ports(1)
    flags = ["-max_queue", "5", "-max_batch_size", "1", "-engine_option", "batch_seconds=0.05"]
    server = start_server("-http_port", str(port), *flags)
    statuses: list[int] = []

    def ask(number: int) -> None:
        statuses.append(call(port, "/encode", {"id": number, "texts": ["a b"] * 15})[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    client = connect(server)
    wait_until(lambda: waiting(client)["waiting_http_requests"] == 3)
    for number in range(4):
        client.send(["a b"] * 15, number)
    refused = [client.error() for _ in range(2)]
    assert [number for number, _ in refused] == [2, 3]
    assert {error["code"] for _, error in refused} == {"overloaded"}
    queue = waiting(client)
    assert (queue["waiting_requests"], queue["waiting_zmq_requests"], queue["waiting_http_requests"]) == (5, 2, 3)
    status, answer, _ = call(port, "/encode", {"id": 9, "texts": ["a"]})
    assert (status, answer["description"]) == (503, "5 requests wait already; ask again later")
    for thread in threads:
        thread.join()
    assert statuses == [200, 200, 200]
    assert sorted(client.vectors()[0] for _ in range(2)) == [0, 1]
