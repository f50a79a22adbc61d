"""Callers of the HTTP door that send slowly, or much, or go in the middle of it; answers that would be too large."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from bert_serving.server.frontends.http import reply as http_reply
from bert_serving.server.frontends.http.body import Bodies, BodyError
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import EncodeResult
from bert_serving.server.tasks.request import RequestError

from tests.server.support import StartServer, free_ports, wait_until
from tests.server.test_http import call

HALF = b'POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"id": 1,'


class Sender:
    """A request as far as a body is concerned: its parts, and whether more never comes."""

    def __init__(self, *parts: bytes, stalls: bool = False) -> None:
        self._parts, self._stalls = parts, stalls

    async def stream(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        if self._stalls:
            await asyncio.sleep(60)


async def received(bodies: Bodies, sender: Any) -> bytes:
    async with bodies.receive(sender) as body:
        return body


def test_who_sends_half_a_request_keeps_nobody_waiting(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), "-http_max_connect", "2", "-drain_timeout", "60")
    peers = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(5)]
    for peer in peers:
        peer.sendall(HALF)
    status, answer, _ = call(port, "/encode", {"id": 1, "texts": ["a"]})
    assert (status, len(answer["result"])) == (200, 1)
    assert call(port, "/status/client")[1]["num_pending_request"] == 0
    for peer in peers[:3]:
        peer.close()
    assert call(port, "/encode", {"id": 2, "texts": ["a"]})[0] == 200
    assert server.end(timeout=30) == 0  # nor does the end of the server wait for the other two
    assert "Traceback" not in server.log
    for peer in peers[3:]:
        peer.close()


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def main() -> None:
        bodies = Bodies(Limits(http_body_seconds=0.2))
        with pytest.raises(BodyError, match=r"did not come within 0\.2 s") as caught:
            await received(bodies, Sender(b"abc", stalls=True))
        assert caught.value.code == "bad_request"
        assert await received(bodies, Sender(b"abc", b"", b"de")) == b"abcde"

    asyncio.run(main())


def test_one_body_and_all_together_are_bounded() -> None:
    async def main() -> None:
        bodies = Bodies(Limits(max_request_bytes=10, http_max_body_bytes=25))
        assert await received(bodies, Sender(b"12345", b"67890")) == b"1234567890"
        with pytest.raises(BodyError) as caught:
            await received(bodies, Sender(b"12345", b"678901"))
        assert caught.value.code == "too_large"
        async with bodies.receive(Sender(b"1234567890")), bodies.receive(Sender(b"12345", b"67890")):  # type: ignore
            with pytest.raises(BodyError) as caught:
                await received(bodies, Sender(b"123456"))
            assert caught.value.code == "overloaded"
            assert await received(bodies, Sender(b"12345")) == b"12345"
        for _ in range(9):  # nothing of those that were refused is still counted
            assert await received(bodies, Sender(b"1234567890")) == b"1234567890"

    asyncio.run(main())


def test_a_body_beyond_the_limit_ends_the_connection(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    start_server("-http_port", str(port))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        peer.sendall(bytes((128 << 20) + 1))
        reply = b""
        while part := peer.recv(10_000):
            reply += part
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["type"] == "too_large"
    wait_until(lambda: call(port, "/status/client")[1]["num_pending_request"] == 0)


def test_an_answer_that_would_fill_the_memory_is_refused(start_server: StartServer) -> None:
    """Before anything is computed where that can be known, else before a number is written out."""
    (port,) = free_ports(1)
    start_server("-http_port", str(port), "-max_request_texts", "9000000")
    texts = ["a"] * ((Limits().http_max_numbers >> 3) + 1)
    status, answer, _ = call(port, "/encode", {"id": 1, "texts": texts})
    assert (status, answer["type"]) == (413, "too_large")
    assert "16,777,224 numbers" in answer["description"]
    assert call(port, "/status/server")[1]["workers"][0]["sequences"] == 0
    with pytest.raises(RequestError, match="12 numbers, more than 11 over HTTP"):
        http_reply.answer_json(1, EncodeResult(np.zeros((1, 4, 3), np.float32), None, []), 11)


@pytest.mark.parametrize("tokens", [None, [["[CLS]", "\ud800", "一"], ["[CLS]"]]])
@pytest.mark.parametrize("number", [7, "\ud800", {"a": [None, 1.5]}])
def test_answers_are_json_of_the_same_numbers(number: Any, tokens: list[list[str]] | None) -> None:
    vectors = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    answer = http_reply.answer_json(number, EncodeResult(vectors, tokens, [1], "0123"), 1000)
    wanted = {"id": number, "status": 200, "truncated": [1], "result": vectors.tolist(), "results": vectors.tolist()}
    wanted["model"] = "0123"
    assert json.loads(answer) == wanted | ({} if tokens is None else {"tokens": tokens})


def test_callers_who_do_not_read_are_left_and_fill_no_memory() -> None:
    part = http_reply.PART
    outgoing = http_reply.Outgoing(Limits(http_max_answer_bytes=10 * part, http_read_seconds=0.5))

    async def ask(size: int, reads: int) -> list[dict[str, Any]]:
        """What is sent to a caller who takes so many messages and then no more."""
        taken: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            if len(taken) == reads:
                await asyncio.sleep(60)
            taken.append(message)

        await outgoing.reply(bytes(size))({"type": "http"}, None, send)
        return taken

    async def main() -> None:
        deaf = asyncio.create_task(ask(6 * part, 3))
        await asyncio.sleep(0.1)
        assert outgoing.bytes == 6 * part
        refused, answered = await ask(4 * part + 1, 99), await ask(4 * part, 99)
        assert refused[0]["status"] == 503
        assert json.loads(refused[1]["body"])["type"] == "overloaded"
        assert (answered[0]["status"], len(answered)) == (200, 5)
        assert b"".join(message["body"] for message in answered[1:]) == bytes(4 * part)
        assert [message["more_body"] for message in answered[1:]] == [True, True, True, False]
        assert len(await deaf) == 3
        assert outgoing.bytes == 0

    asyncio.run(main())


def test_an_answer_that_nobody_reads_ends_nothing_else(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), "-http_max_connect", "1")
    body = json.dumps({"id": 1, "texts": ["a"] * 60_000}).encode()  # an answer of some 20 MB
    with socket.create_connection(("127.0.0.1", port), timeout=10) as deaf:
        deaf.sendall(b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert deaf.recv(10).startswith(b"HTTP/1.1 ")
        assert call(port, "/encode", {"id": 2, "texts": ["a"]})[0] == 200
        deaf.settimeout(30)
        size = 0
        while size < 15_000_000:
            size += len(deaf.recv(1 << 20))
    assert call(port, "/encode", {"id": 3, "texts": ["a"]})[0] == 200
    assert server.end() == 0


def test_a_full_queue_refuses_at_once(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    slow = ["-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=2"]  # "a" takes two seconds
    start_server("-http_port", str(port), "-max_queue", "1", *slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, port, "/encode", {"id": 1, "texts": ["a"]})
        wait_until(lambda: call(port, "/status/client")[1]["num_pending_request"] == 1)
        status, answer, _ = call(port, "/encode", {"id": 2, "texts": ["b"]})
        assert (status, answer["type"]) == (503, "overloaded")
        assert first.result()[0] == 200
    assert call(port, "/encode", {"id": 3, "texts": ["b"]})[0] == 200
