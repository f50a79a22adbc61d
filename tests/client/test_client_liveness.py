"""Timeouts by signs of life, and requests that a server lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from bert_serving.client import BertClient, RequestLostError
from bert_serving.client.base import ClientCore
from bert_serving.client.requests.watch import Watch

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]


def ignore(server: FakeServer, request: Request) -> None:
    """Keep the request for ever."""


def lose(server: FakeServer, request: Request) -> None:
    server.known.clear()


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


def until_timeout(watch: Watch, now: float) -> float:
    """The time at which `watch` gives up on a simulated clock."""
    while now < 10_000:
        try:
            now += watch.step(now)
        except TimeoutError:
            return now
    return now


def test_nothing_listening_is_said_with_the_ports(closed_ports: dict[str, Any]) -> None:
    with pytest.raises(TimeoutError) as caught:
        BertClient(timeout=200, **closed_ports)
    message = str(caught.value)
    for part in ("localhost", str(closed_ports["port"]), str(closed_ports["port_out"]), "0.2 s", "first contact"):
        assert part in message
    assert "\n" not in message


def test_slow_work_needs_no_timeout_of_its_own(serve: Serve) -> None:
    server = serve(lambda server, request: server.after(2.5, lambda: server.answer(request)))
    with BertClient(timeout=1000, **server.ports) as client:
        assert client.encode(["abc"])[0, 0] == 3
        client.encode(["abcd"], blocking=False)
        assert client.fetch_all()[0][0, 0] == 4
    assert len(server.requests) == 2
    assert len(server.asked) >= 4


def test_a_server_that_fell_silent_times_out(serve: Serve) -> None:
    server = serve(ignore)
    with BertClient(**server.ports) as client:
        client.timeout = 300
        server.deaf = True
        with pytest.raises(TimeoutError, match=r"no sign of life .* 0\.3 s"):
            client.encode(["x"])
        assert client.status["num_pending_request"] == 0


def test_an_explicit_timeout_is_plain_waiting_with_an_old_server(serve: Serve) -> None:
    server = serve(lambda server, request: server.after(0.6, lambda: server.answer(request)), legacy=True)
    with BertClient(**server.ports) as client:
        client.timeout = 200
        with pytest.raises(TimeoutError):
            client.encode(["x"])
    with BertClient(timeout=15_000, **server.ports) as client:
        assert client.encode(["abc"])[0, 0] == 3
    assert b"dropped" not in server.commands


def test_a_late_answer_is_dropped_quietly(serve: Serve) -> None:
    def late(server: FakeServer, request: Request) -> None:
        server.after(0.4 if len(server.requests) == 1 else 0, lambda: server.answer(request))

    server = serve(late, legacy=True)
    with BertClient(**server.ports) as client:
        client.timeout = 150
        with pytest.raises(TimeoutError):
            client.encode(["late"])
        client.timeout = 15_000
        server.script = lambda server, request: server.after(0.5, lambda: server.answer(request))
        client.encode(["ab"], blocking=False)
        assert [response.embedding[0, 0] for response in client.fetch()] == [2]
        assert client.encode(["abc"])[0, 0] == 3
        assert client.status["num_pending_request"] == 0
        assert not client._session.ready
        assert not client._session.pending


def test_fetch_times_out_and_can_be_taken_up_again(serve: Serve) -> None:
    server = serve(ignore)
    with BertClient(**server.ports) as client:
        client.encode(["abc"], blocking=False)
        client.encode(["abcd"], blocking=False)
        wait_for(lambda: len(server.requests) == 2)
        client.timeout = 250
        server.deaf = True
        with pytest.raises(TimeoutError):
            next(iter(client.fetch()))
        with pytest.raises(TimeoutError):
            client.fetch_all()
        client.timeout = 15_000
        server.deaf = False
        server.after(0, lambda: list(map(server.answer, server.requests)))
        assert [one[0, 0] for one in client.fetch_all()] == [3, 4]


def test_a_lost_request_is_sent_again_under_its_id(serve: Serve) -> None:
    def lose_first(server: FakeServer, request: Request) -> None:
        (lose if len(server.requests) == 1 else type(server).answer)(server, request)

    server = serve(lose_first)
    with BertClient(timeout=1500, **server.ports) as client:
        assert client.encode(["abc"])[0, 0] == 3
        assert not client._session.pending
    first, second = server.requests
    assert first.frames == second.frames


def test_every_request_survives_a_restart(serve: Serve) -> None:
    server = serve(ignore)
    with BertClient(timeout=5000, **server.ports) as client:
        for length in range(1, 41):
            client.encode(["x" * length], blocking=False)
        wait_for(lambda: len(server.requests) == 40)
        server.stop()
        again = serve(**server.ports)
        assert [one[0, 0] for one in client.fetch_all()] == list(range(1, 41))
        assert client.encode(["xyz"])[0, 0] == 3
    assert len(again.requests) == 41


def test_a_restart_during_a_blocking_call(serve: Serve) -> None:
    server = serve(ignore)
    ports = server.ports
    with BertClient(timeout=15_000, **ports) as client:

        def restart() -> None:
            wait_for(lambda: bool(server.requests))
            server.stop()
            serve(**ports)

        thread = threading.Thread(target=restart)
        thread.start()
        assert client.encode(["abc"])[0, 0] == 3
        thread.join()


def test_one_unknown_alone_sends_nothing_again(serve: Serve) -> None:
    server = serve(lambda server, request: server.after(2.5, lambda: server.answer(request)))
    server.forced_states += ["unknown", "waiting", "unknown", "waiting"]
    with BertClient(timeout=1500, **server.ports) as client:
        assert client.encode(["abc"])[0, 0] == 3
    assert server.forced_states == []
    assert len(server.requests) == 1


def test_a_request_lost_every_time_is_given_up(serve: Serve) -> None:
    server = serve(lose)
    with BertClient(timeout=1500, **server.ports) as client:
        with pytest.raises(RequestLostError, match="4 times"):
            client.encode(["poison"])
        server.script = type(server).answer
        assert client.encode(["abc"])[0, 0] == 3
    assert len(server.requests) == 5


def test_an_old_server_is_never_asked_what_it_does_not_know(serve: Serve) -> None:
    server = serve(lambda server, request: server.after(1.3, lambda: server.answer(request)), legacy=True)
    with BertClient(ignore_all_checks=True, **server.ports) as client:
        assert client.status["timeout"] == 60_000
        for _ in range(2):
            client.encode(["abc"], blocking=False)
        assert len(client.fetch_all()) == 2
        assert client.status["timeout"] == 600_000
    assert b"dropped" not in server.commands
    assert len(server.requests) == 2


def waiting_core(config: dict[str, object] | None, timeout: int | None) -> tuple[ClientCore, int]:
    core = ClientCore(timeout=timeout)
    if config is not None:
        core._session.learn(config)
    request_id = core._open_encode(["x"], False)
    core._session.outbox.clear()
    return core, request_id


@pytest.mark.parametrize(
    ("config", "timeout", "first", "limit"),
    [
        ({"bert_ft_version": "0.1.0"}, None, False, 60),
        ({"server_version": "1.10.0"}, None, False, 600),
        (None, None, True, 10),
        (None, 4000, True, 4),
        ({"bert_ft_version": "0.1.0"}, 123_000, False, 123),
    ],
)
def test_limits_on_a_simulated_clock(
    config: dict[str, object] | None, timeout: int | None, first: bool, limit: float
) -> None:
    core, request_id = waiting_core(config, timeout)
    watch = core._watch({request_id}, 1000.0, first)
    assert until_timeout(watch, 1000.0) == pytest.approx(1000 + limit, abs=0.01)


def test_waiting_for_ever_asks_at_growing_pauses() -> None:
    core, request_id = waiting_core({"bert_ft_version": "0.1.0"}, -1)
    now, asked_at = 0.0, []
    watch = core._watch({request_id}, now)
    while now < 10_000:
        pause = watch.step(now)
        if core._session.outbox:
            asked_at.append(now)
            core._session.outbox.clear()
        now += pause
    assert asked_at[0] == pytest.approx(1.0)
    pauses = [after - before for before, after in itertools.pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 2.5
    assert pauses[-1] == pytest.approx(5.0)


def test_a_sign_of_life_starts_the_count_again() -> None:
    core, request_id = waiting_core({"bert_ft_version": "0.1.0"}, 10_000)
    watch = core._watch({request_id}, 0.0)
    for now in range(0, 1000, 9):
        watch.step(float(now))
        question_id = int(core._session.outbox.pop()[2]) if core._session.outbox else 77
        state = b'{"request": %d, "state": "waiting"}' % request_id
        core._session.receive([core.identity + b"\0", state, b"%d" % question_id], float(now))
    assert until_timeout(watch, float(now)) == pytest.approx(now + 10, abs=0.01)
