"""What all frontends together may hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from bert_serving.server.admission import Admission
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError

from tests.server.support import Connect, StartServer, free_ports, wait_until
from tests.server.test_http import call


def test_both_frontends_together_hold_max_queue(start_server: StartServer, connect: Connect) -> None:
    (port,) = free_ports(1)
    slow = ["-max_batch_size", "1", "-engine_option", "batch_seconds=1"]
    server = start_server("-http_port", str(port), "-max_queue", "4", *slow)
    client, watcher = connect(server, b"client"), connect(server, b"watcher")
    client.ask(b"SHOW_CONFIG")

    def waiting() -> list[int]:
        queue = watcher.ask(b"SHOW_STATUS")["queue"]
        return [queue[f"waiting_{name}requests"] for name in ("", "zmq_", "http_")]

    with ThreadPoolExecutor(3) as pool:
        client.send(["a"], 1)
        client.send(["a"], 2)
        first = [pool.submit(call, port, "/encode", {"id": number, "texts": ["a"]}) for number in (1, 2)]
        wait_until(lambda: waiting() == [4, 2, 2])
        client.send(["a"], 3)
        number, error = client.error()
        assert (number, error["code"]) == (3, "overloaded")
        status, answer, _ = call(port, "/encode", {"id": 3, "texts": ["a"]})
        assert (status, answer["type"]) == (503, "overloaded")
        assert error["message"] == answer["description"] == "4 requests wait already; ask again later"
        assert waiting()[0] == 4

        assert client.vectors()[0] == 1  # so there is room for one more, whichever way it comes
        another = pool.submit(call, port, "/encode", {"id": 4, "texts": ["a"]})
        assert [one.result()[0] for one in (*first, another)] == [200] * 3
        assert client.vectors()[0] == 2
    wait_until(lambda: waiting() == [0, 0, 0])
    client.send(["a"], 5)
    assert client.vectors()[0] == 5


def test_bytes_are_counted_over_all_frontends() -> None:
    admission = Admission(10, Limits(max_waiting_bytes=4))
    with admission.one("http", 3):
        admission.enter("zmq", 2)
        assert (len(admission), admission.bytes) == (2, 5)
        for frontend in ("zmq", "http"):
            with pytest.raises(RequestError, match="2 requests wait already") as caught:
                admission.enter(frontend, 1)
            assert caught.value.code == "overloaded"
    admission.enter("zmq", 1)
    admission.leave("zmq", 1)
    admission.leave("zmq", 2)
    assert (len(admission), admission.of("zmq"), admission.bytes) == (0, 0, 0)


def test_who_comes_at_the_end_is_told_why() -> None:
    admission = Admission(10, Limits())
    assert admission.refusal().code == "shutting_down"
    admission.end("server_failed", "the server ends: no worker")
    with pytest.raises(RequestError, match="no worker") as caught:
        admission.enter("zmq", 1)
    assert caught.value.code == "server_failed"
    assert len(admission) == 0
