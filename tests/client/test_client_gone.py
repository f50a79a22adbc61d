"""A server that said that it stops: a restart is ridden through, an end is noticed."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from bert_serving.client import AsyncBertClient, BertClient, ConcurrentBertClient, ServerFailedError, wire
from bert_serving.client import base as core
from bert_serving.client.errors import ServerShuttingDownError
from bert_serving.client.requests import retry
from bert_serving.client.requests.session import Session
from bert_serving.client.sockets import somebody_listens

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]

ABSENT = "the server at h:1 has shut down and none has taken its place"


class Clocked:
    """A session whose time and whose server's port are made up."""

    def __init__(self, limit: float | None = 60.0, code: str = "shutting_down") -> None:
        self.session = Session(b"me", lambda: limit)
        self.session.learn({"bert_ft_version": "0.1.0"})
        self.now = 1000.0
        self.looks = 0
        self.request = self.session.open(b'["a"]', 1)
        self.refuse(code)

    def refuse(self, code: str) -> None:
        header, body = wire.error_reply(code, "busy")
        self.session.receive([b"me\0", header, body, b"%d" % self.request], self.now)
        self.session.outbox.clear()

    def run(self, seconds: float, somebody: bool) -> int:
        """Let time pass; how often the request was sent."""
        self.session.outbox.clear()
        end = self.now + seconds
        while self.now < end and not self.session.ready:
            self.session.resend_refused(self.now)
            if self.session.refused.to_look:
                self.looks += 1
                self.session.looked(None if somebody else ABSENT, self.now)
            self.now += 0.01
        return len(self.session.outbox)

    def error(self) -> Exception | None:
        reply = self.session.ready.get(self.request)
        return reply.error if isinstance(reply, wire.ErrorReply) else None


def test_nobody_for_ten_seconds_ends_the_wait() -> None:
    clocked = Clocked()
    sent = clocked.run(60, somebody=False)
    assert str(clocked.error()) == ABSENT
    assert isinstance(clocked.error(), ServerShuttingDownError)
    assert 1010 <= clocked.now < 1010.2
    assert sent == 0
    assert not clocked.session.pending


def test_a_server_that_comes_back_in_time_gets_the_request_once() -> None:
    clocked = Clocked()
    assert clocked.run(9, somebody=False) == 0
    assert clocked.run(30, somebody=True) == 1
    assert clocked.error() is None


def test_ten_seconds_are_counted_in_a_row() -> None:
    clocked = Clocked()
    for _ in range(4):
        clocked.run(7, somebody=False)
        clocked.run(3, somebody=True)
    assert clocked.error() is None
    assert clocked.request in clocked.session.pending


def test_a_sign_of_life_ends_the_row_too() -> None:
    clocked = Clocked()
    clocked.run(9, somebody=False)
    clocked.refuse("shutting_down")
    clocked.run(9, somebody=False)
    assert clocked.error() is None
    clocked.run(5, somebody=False)
    assert str(clocked.error()) == ABSENT


def test_what_was_sent_to_a_server_on_its_way_out_is_not_waited_for() -> None:
    """The port was open when the request was sent again, and closed before it was read."""
    clocked = Clocked()
    assert clocked.run(1, somebody=True) == 1
    assert clocked.run(30, somebody=False) == 0
    assert str(clocked.error()) == ABSENT
    assert clocked.now < 1014


def test_what_was_sent_to_a_server_on_its_way_out_is_sent_to_the_next() -> None:
    clocked = Clocked()
    assert clocked.run(1, somebody=True) == 1
    clocked.run(5, somebody=False)
    assert clocked.run(5, somebody=True) == 1


def test_a_shorter_timeout_wins() -> None:
    clocked = Clocked(limit=3.0)
    clocked.run(60, somebody=False)
    assert str(clocked.error()) == "busy"
    assert 1003 <= clocked.now < 1003.2


@pytest.mark.parametrize(("limit", "code"), [(None, "shutting_down"), (60.0, "overloaded")])
def test_nobody_looks_in_the_name_of_others(limit: float | None, code: str) -> None:
    """Those who wait for ever, and those whose server is only busy."""
    clocked = Clocked(limit, code)
    assert clocked.run(50, somebody=False) == 1
    assert clocked.looks == 0
    assert clocked.error() is None


def test_all_that_were_refused_get_the_answer_together() -> None:
    clocked = Clocked()
    second = clocked.session.open(b'["b"]', 1)
    header, body = wire.error_reply("shutting_down", "busy")
    clocked.session.receive([b"me\0", header, body, b"%d" % second], clocked.now)
    clocked.run(60, somebody=False)
    assert set(clocked.session.ready) == {clocked.request, second}


def plain(**options: Any) -> Any:
    with BertClient(**options) as client:
        return client.encode(["abc"])


def pooled(**options: Any) -> Any:
    with ConcurrentBertClient(2, **options) as pool:
        return pool.encode(["abc"])


def awaited(**options: Any) -> Any:
    async def main() -> Any:
        async with AsyncBertClient(**options) as client:
            first, second = await asyncio.gather(*(client.encode(["abc"]) for _ in range(2)))
            assert (first == second).all()
            return first

    return asyncio.run(main())


clients = pytest.mark.parametrize("ask", [plain, pooled, awaited])


def refuse_and_stop(stopped: threading.Event) -> Callable[[FakeServer, Request], None]:
    def script(server: FakeServer, request: Request) -> None:
        server.fail(request, "shutting_down", "the server is shutting down")
        server.after(0.5, lambda: (server._stop.set(), stopped.set()))

    return script


@clients
def test_a_server_that_ended_is_not_waited_for(
    serve: Serve, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "GONE_AFTER_S", 0.6)
    server = serve(refuse_and_stop(threading.Event()))
    with pytest.raises(ServerShuttingDownError) as caught:
        ask(ip="127.0.0.1", timeout=60_000, **server.ports)
    assert str(caught.value) == f"the server at 127.0.0.1:{server.port} has shut down and none has taken its place"


@clients
def test_a_server_in_its_place_answers(serve: Serve, ask: Callable[..., Any]) -> None:
    stopped = threading.Event()
    server = serve(refuse_and_stop(stopped))

    def follow() -> None:
        stopped.wait(10)
        server.stop()
        time.sleep(1)
        serve(**server.ports)

    thread = threading.Thread(target=follow)
    thread.start()
    assert ask(timeout=60_000, **server.ports)[0, 0] == 3
    thread.join()


def test_nobody_looks_as_long_as_no_server_said_that_it_stops(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(ip: str, port: int) -> bool:
        raise AssertionError

    monkeypatch.setattr(core, "somebody_listens", look)
    refused: set[int] = set()

    def script(server: FakeServer, request: Request) -> None:
        if request.id in refused:
            server.answer(request)
        else:
            refused.add(request.id)
            server.fail(request, "overloaded", "busy")

    server = serve(script)
    assert plain(**server.ports)[0, 0] == 3
    assert awaited(**server.ports)[0, 0] == 3


def test_the_event_loop_runs_on_during_a_look(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look lasts until another task of the loop lets it go."""
    looking, go_on = threading.Event(), threading.Event()

    def look(ip: str, port: int) -> bool:
        looking.set()
        return go_on.wait(20)

    monkeypatch.setattr(core, "somebody_listens", look)
    answers = iter(["refuse"])

    def script(server: FakeServer, request: Request) -> None:
        if next(answers, None):
            server.fail(request, "shutting_down", "bye")
        else:
            server.answer(request)

    async def main() -> None:
        async with AsyncBertClient(**serve(script).ports) as client:
            asked = asyncio.create_task(client.encode(["abc"]))
            while not looking.is_set():
                await asyncio.sleep(0.01)
            go_on.set()
            assert (await asked)[0, 0] == 3

    asyncio.run(main())


def test_a_port_is_looked_at(closed_ports: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert somebody_listens("127.0.0.1", taken.getsockname()[1])
    assert not somebody_listens("127.0.0.1", closed_ports["port"])


@clients
def test_a_server_that_cannot_go_on_is_not_asked_again(serve: Serve, ask: Callable[..., Any]) -> None:
    server = serve(lambda server, request: server.fail(request, "server_failed", "no worker could be started"))
    with pytest.raises(ServerFailedError, match=r"^no worker could be started$"):
        ask(**server.ports)
    assert len({(request.identity, request.id) for request in server.requests}) == len(server.requests)
