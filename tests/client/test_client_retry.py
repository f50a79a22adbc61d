"""Requests that a server refuses for the moment are sent again by themselves."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from bert_serving.client import AsyncBertClient, BadRequestError, BertClient, ServerOverloadedError, wire
from bert_serving.client.errors import ServerShuttingDownError
from bert_serving.client.requests.session import Session
from bert_serving.client.requests.watch import Watch

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]

TEMPORARY = ["overloaded", "shutting_down"]


def refusing(times: int, code: str = "overloaded") -> Callable[[FakeServer, Request], None]:
    """A script that refuses each request so many times."""
    seen: dict[int, int] = {}

    def script(server: FakeServer, request: Request) -> None:
        seen[request.id] = seen.get(request.id, 0) + 1
        if seen[request.id] <= times:
            server.fail(request, code, "busy")
        else:
            server.answer(request)

    return script


@pytest.mark.parametrize("code", TEMPORARY)
def test_a_refused_request_is_sent_again_under_its_id_after_growing_pauses(serve: Serve, code: str) -> None:
    came: list[float] = []
    script = refusing(4, code)

    def timed(server: FakeServer, request: Request) -> None:
        came.append(time.monotonic())
        script(server, request)

    server = serve(timed)
    with BertClient(**server.ports) as client:
        assert client.encode(["abc"])[0, 0] == 3
        assert client.status["num_pending_request"] == 0
    assert len({request.id for request in server.requests}) == 1
    pauses = [later - earlier for earlier, later in itertools.pairwise(came)]
    assert len(pauses) == 4
    assert all(pause >= 0.05 / 2 * 2**number for number, pause in enumerate(pauses))


def test_every_way_of_asking_retries(serve: Serve) -> None:
    with BertClient(**serve(refusing(2)).ports) as client:
        for length in range(1, 6):
            client.encode(["x" * length], blocking=False)
        assert [one[0, 0] for one in client.fetch_all()] == [1, 2, 3, 4, 5]
        stream = client.encode_async(["x" * length] for length in range(1, 6))
        assert sorted(response.embedding[0, 0] for response in stream) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("code", "error"), [("overloaded", ServerOverloadedError), ("shutting_down", ServerShuttingDownError)]
)
def test_the_refusal_is_raised_when_it_lasts_for_the_whole_timeout(
    serve: Serve, code: str, error: type[Exception]
) -> None:
    server = serve(lambda server, request: server.fail(request, code, "busy"))
    with BertClient(**server.ports) as client:
        client.timeout = 1000
        with pytest.raises(error, match="busy"):
            client.encode(["x"])
        assert len(server.requests) > 2
        assert client.status["num_pending_request"] == 0
        client.timeout = 15_000
        server.script = type(server).answer
        assert client.encode(["xyz"])[0, 0] == 3


def test_no_retry_if_not_wanted_and_none_of_other_errors(serve: Serve) -> None:
    server = serve(refusing(1))
    with BertClient(retry=False, **server.ports) as client, pytest.raises(ServerOverloadedError):
        client.encode(["x"])
    server.script = refusing(1, "bad_request")
    with BertClient(**server.ports) as client, pytest.raises(BadRequestError):
        client.encode(["x"])
    assert len(server.requests) == 2


def test_silence_after_a_refusal_is_a_timeout(serve: Serve) -> None:
    def once(server: FakeServer, request: Request) -> None:
        server.fail(request, "overloaded", "busy")
        server.deaf = True

    with BertClient(**serve(once).ports) as client:
        client.timeout = 600
        with pytest.raises(TimeoutError):
            client.encode(["x"])


def test_a_request_that_was_put_off_is_not_taken_for_lost(serve: Serve) -> None:
    """Its state is unknown to the server, rightly, while another one is lost and looked for."""

    def script(server: FakeServer, request: Request) -> None:
        if request.texts == ["lost"] and len(server.requests) == 1:
            server.known.clear()
        elif time.monotonic() < until and request.texts == ["refused"]:
            server.fail(request, "overloaded", "busy")
        else:
            server.answer(request)

    server = serve(script)
    until = time.monotonic() + 4
    with BertClient(timeout=20_000, **server.ports) as client:
        client.encode(["lost"], blocking=False)
        client.encode(["refused"], blocking=False)
        assert [one[0, 0] for one in client.fetch_all()] == [4, 7]


def test_asyncio_twin_retries_many_at_once(serve: Serve) -> None:
    server = serve(refusing(3))

    async def main() -> None:
        async with AsyncBertClient(**server.ports) as client:
            answers = await asyncio.gather(*(client.encode(["x" * length]) for length in range(1, 41)))
            assert [one[0, 0] for one in answers] == list(range(1, 41))
            server.script = lambda server, request: server.fail(request, "overloaded", "busy")
            client.timeout = 500
            results = await asyncio.gather(*(client.encode(["x"]) for _ in range(3)), return_exceptions=True)
            assert [type(result) for result in results] == [ServerOverloadedError] * 3

    asyncio.run(main())


def refused_session(now: float) -> tuple[Session, int]:
    """A session of a bert-ft client whose only request was refused."""
    session = Session(b"me", lambda: 60.0)
    session.learn({"bert_ft_version": "0.1.0"})
    request_id = session.open(b'["a"]', 1)
    session.outbox.clear()
    header, body = wire.error_reply("overloaded", "busy")
    session.receive([b"me\0", header, body, b"%d" % request_id], now)
    return session, request_id


def state_reply(asked: int, answer_id: int, state: str) -> list[bytes]:
    return [b"me\0", b'{"request": %d, "state": "%s"}' % (asked, state.encode()), b"%d" % answer_id]


def test_the_server_is_not_asked_about_a_request_that_it_refused() -> None:
    session, request_id = refused_session(100.0)
    watch = Watch(session, {request_id}, lambda: 60.0, lambda limit: TimeoutError(), 100.0)
    session.refused._refusals[request_id].due = 150.0  # a long pause
    for now in (102.0, 110.0, 130.0):
        watch.step(now)
    assert not session.outbox


def test_unknown_says_nothing_of_a_request_that_is_put_off() -> None:
    """The answer to a question that was asked before the refusal came."""
    session, request_id = refused_session(100.0)
    for _ in range(3):
        session.receive(state_reply(request_id, session.last_id + 1, "unknown"), 100.01)
    assert not session.outbox
    assert request_id in session.pending


def test_one_lost_request_puts_no_suspicion_on_one_that_is_put_off() -> None:
    session, request_id = refused_session(100.0)
    lost = session.open(b'["b"]', 1)
    session.outbox.clear()
    for _ in range(2):
        session.receive(state_reply(lost, session.last_id + 1, "unknown"), 100.01)
    assert [frames[2] for frames in session.outbox if frames[1] != wire.SHOW_STATE] == [b"%d" % lost]
    assert not any(b"%d" % request_id in frames[-1] for frames in session.outbox if frames[1] == wire.SHOW_STATE)


def test_a_request_that_is_worked_on_begins_a_new_row_of_refusals() -> None:
    session, request_id = refused_session(100.0)
    assert not session.resend_refused(101.0)
    session.receive(state_reply(request_id, session.last_id + 1, "waiting"), 120.0)
    header, body = wire.error_reply("shutting_down", "bye")
    session.receive([b"me\0", header, body, b"%d" % request_id], 165.0)
    assert not session.resend_refused(166.0)  # 66 s after the first refusal, but 1 s after this one
    assert request_id in session.pending
