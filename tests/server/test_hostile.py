"""Peers that abuse the result port, floods, and readers that do not read."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from bert_serving.server.frontends.json_texts import parse_object, parse_texts
from bert_serving.server.frontends.zmq.subscribers import Subscribers
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError
from hypothesis import given
from hypothesis import strategies as st

from tests.server.support import Connect, Listening, RunningServer, StartServer, expected, wait_until

LIMITS = Limits()


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> RunningServer:
    return start_server("-num_worker", "2")


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


def peer(port: int, kind: bytes = b"SUB", **more: bytes) -> socket.socket:
    """A connection past the handshake of ZMTP 3.0: it can send what libzmq's sockets do not.

    Args:
        more: properties that it claims to have, an underscore standing for a hyphen in their names.
    """
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    ready = b"\x05READY"
    for name, value in {"Socket_Type": kind, **more}.items():
        ready += bytes([len(name)]) + name.replace("_", "-").encode() + struct.pack("!I", len(value)) + value
    connection.sendall(bytes([4, len(ready)]) + ready)
    greeting = connection.makefile("rb")
    greeting.read(64)
    greeting.read(greeting.read(2)[1])
    return connection


def frame(body: bytes) -> bytes:
    return bytes([0, len(body)]) + body


def test_nobody_ends_the_subscription_of_another(server: RunningServer, connect: Connect) -> None:
    victim = connect(server, b"victim")
    victim.ask(b"SHOW_CONFIG")
    with peer(server.port_out) as hostile:
        for number in range(5):
            hostile.sendall(frame(b"\0victim"))
            time.sleep(0.05)
            victim.send(["a"], number)
            assert victim.vectors()[0] == number
        # not even after it has subscribed itself, and again under a new connection
        hostile.sendall(frame(b"\1victim"))
    for _ in range(3):
        with peer(server.port_out) as hostile:
            hostile.sendall(frame(b"\0victim") * 3)
            time.sleep(0.05)
    victim.send(["a"], 9)
    assert victim.vectors()[0] == 9
    victim.close()
    other = connect(server, b"other")
    wait_until(lambda: other.ask(b"SHOW_STATUS")["queue"]["listening_identities"] == 1)


def test_a_reader_may_end_its_own_subscription(server: RunningServer, connect: Connect) -> None:
    watcher = connect(server, b"watcher")
    reader = connect(server, b"reader")
    reader.ask(b"SHOW_CONFIG")
    reader.sub.setsockopt(zmq.UNSUBSCRIBE, b"reader")
    wait_until(lambda: watcher.ask(b"SHOW_STATUS")["queue"]["listening_identities"] == 1)
    reader.send(["a"], 1)
    time.sleep(0.2)
    reader.sub.setsockopt(zmq.SUBSCRIBE, b"reader")
    assert reader.vectors()[0] == 1


def test_messages_at_the_result_port_turn_no_subscription_round(server: RunningServer, connect: Connect) -> None:
    """libzmq would give the results of one that subscribes just then to the next one."""
    for round_ in range(20):
        with peer(server.port_out) as hostile, peer(server.port_out) as eavesdropper:
            hostile.sendall(frame(b"\7") * 3)
            victim = connect(server, b"victim-%d" % round_)
            eavesdropper.sendall(frame(b"\1eavesdropper"))
            victim.send(["a b"], round_)
            number, vectors, _ = victim.vectors()
            assert number == round_
            np.testing.assert_allclose(vectors, expected(["a b"]), atol=1e-6)
            eavesdropper.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                assert b"victim" not in eavesdropper.recv(10_000)
            victim.close()


def test_subscriptions_read_behind_such_a_message_come_again(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """All are there before the first is read, so that nothing is left to chance."""
    replies = context.socket(zmq.XPUB)
    replies.setsockopt(zmq.XPUB_MANUAL, 1)
    port = replies.bind_to_random_port("tcp://127.0.0.1")
    listening = Listening()
    refusals: list[str] = []
    readers = Subscribers(replies, port, listening, refusals.append, LIMITS)
    with peer(port) as hostile:
        hostile.sendall(frame(b"\7"))
        time.sleep(0.2)
        names = [b"first", b"second", b"third"]
        sockets = []
        for name in names:
            sockets.append(context.socket(zmq.SUB))
            sockets[-1].setsockopt(zmq.SUBSCRIBE, name)
            sockets[-1].connect(f"tcp://127.0.0.1:{port}")
            time.sleep(0.2)

        def all_listen() -> bool:
            readers.drain()
            for socket_ in sockets:
                socket_.poll(0)  # a socket connects again by itself, and subscribes again when it is used
            return all(listening[name + b"\0"] == 1 for name in names)

        wait_until(all_listen)
        assert hostile.recv(100) == b""
    for name in names:
        replies.send_multipart([name + b"\0", b"for " + name])
    for name, socket_ in zip(names, sockets, strict=True):
        assert socket_.poll(5000)
        assert socket_.recv_multipart()[1] == b"for " + name
        assert not socket_.poll(100)
    assert len(refusals) == 1


@pytest.mark.parametrize("others", [[b"other"], [b"late"], [b"late", b"other"], [b"other", b"late"]])
@pytest.mark.parametrize("before", [[], [b"late"], [b"other"]])
@pytest.mark.parametrize("again", [False, True])
def test_a_subscription_that_is_read_after_its_end(
    context: zmq.Context[zmq.Socket[bytes]], again: bool, before: list[bytes], others: list[bytes]
) -> None:
    """Its descriptor is another's by then; who listens is right all the same, and gets its replies."""
    replies = context.socket(zmq.XPUB)
    replies.setsockopt(zmq.XPUB_MANUAL, 1)
    port = replies.bind_to_random_port("tcp://127.0.0.1")
    listening = Listening()

    def listen(name: bytes) -> zmq.Socket[bytes]:
        reader = context.socket(zmq.SUB)
        reader.setsockopt(zmq.SUBSCRIBE, name)
        reader.connect(f"tcp://127.0.0.1:{port}")
        time.sleep(0.1)
        return reader

    readers = Subscribers(replies, port, listening, lambda reason: None, LIMITS)
    there = [(name, listen(name)) for name in before]
    readers.drain()
    late = listen(b"late")
    if again:
        readers.drain()
        for option in (zmq.UNSUBSCRIBE, zmq.SUBSCRIBE):
            late.setsockopt(option, b"late")
        time.sleep(0.1)
    late.close()
    time.sleep(0.1)
    there += [(name, listen(name)) for name in others]
    wanted = Counter(name + b"\0" for name, _ in there)
    wait_until(lambda: readers.drain() is None and readers.sweep() is None and +listening == wanted)
    for _ in range(4):  # and stays so
        readers.drain()
        readers.sweep()
        time.sleep(0.05)
    assert +listening == wanted
    for name, _ in there:
        replies.send_multipart([name + b"\0", b"for " + name])
    for name, reader in there:
        assert reader.poll(5000)
        assert reader.recv_multipart()[1] == b"for " + name
        reader.close()
    wait_until(lambda: readers.drain() is None and readers.sweep() is None and not +listening)


def test_a_descriptor_that_is_of_no_reader_by_then(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    replies = context.socket(zmq.XPUB)
    replies.setsockopt(zmq.XPUB_MANUAL, 1)
    port = replies.bind_to_random_port("tcp://127.0.0.1")
    listening = Listening()
    readers = Subscribers(replies, port, listening, lambda reason: None, LIMITS)
    reader = context.socket(zmq.SUB)
    reader.setsockopt(zmq.SUBSCRIBE, b"late")
    reader.connect(f"tcp://127.0.0.1:{port}")
    time.sleep(0.1)
    reader.close()
    time.sleep(0.1)
    with contextlib.ExitStack() as stack:
        for _ in range(20):  # one of them takes the descriptor
            stack.enter_context(socket.socket())
        wait_until(lambda: readers.drain() is None and readers.sweep() is None and not +listening)


def test_masses_of_subscriptions_are_cut_off(server: RunningServer, connect: Connect) -> None:
    # cut off with something unread, a connection may end in a reset
    with peer(server.port_out) as hostile, contextlib.suppress(ConnectionError):
        hostile.sendall(b"".join(frame(b"\1mass-%d" % number) for number in range(10_500)))
        hostile.settimeout(30)
        assert hostile.recv(1) == b""
    watcher = connect(server, b"watcher")
    wait_until(lambda: watcher.ask(b"SHOW_STATUS")["queue"]["listening_identities"] == 1)


@pytest.mark.parametrize(("kind", "size"), [(b"PUSH", 256 << 20), (b"SUB", 64 << 10)])
def test_a_frame_beyond_the_limit_is_cut_off_before_it_comes(server: RunningServer, kind: bytes, size: int) -> None:
    port = server.port if kind == b"PUSH" else server.port_out
    with peer(port, kind) as hostile, peer(port, kind) as honest:
        hostile.sendall(b"\2" + struct.pack("!Q", size + 1))
        hostile.settimeout(30)
        assert hostile.recv(1) == b""
        honest.sendall(b"\2" + struct.pack("!Q", size))
        honest.settimeout(0.3)
        with pytest.raises(TimeoutError):
            honest.recv(1)


def test_without_keys_nobody_is_who_he_says(server: RunningServer, connect: Connect) -> None:
    """Else a peer could have answers sent to a topic that only a server with keys gives out."""
    client = connect(server, b"mine")
    client.ask(b"SHOW_CONFIG")
    with peer(server.port, b"PUSH", User_Id=b"somebody") as hostile:
        body = [b"mine", b'["a"]', b"7", b"1"]
        hostile.sendall(b"".join(bytes([place < 3, len(one)]) + one for place, one in enumerate(body)))
        assert client.vectors()[0] == 7


def hangs_up_on(hostile: socket.socket, more: bytes) -> bool:
    """Whether the server ends the connection before 4 GB have come, at 400 MB a second."""
    with contextlib.suppress(OSError):
        for _ in range((4 << 30) // len(more)):
            hostile.sendall(more)
            time.sleep(len(more) / (400 << 20))
        return False
    return True


@pytest.mark.parametrize(("kind", "size"), [(b"PUSH", 4 << 20), (b"SUB", 60_000)])
def test_a_message_without_end_is_cut_off(server: RunningServer, connect: Connect, kind: bytes, size: int) -> None:
    """libzmq's limits are for a frame and for whole messages."""
    client = connect(server)
    more = b"\3" + struct.pack("!Q", size) + bytes(size)
    with peer(server.port if kind == b"PUSH" else server.port_out, kind) as hostile:
        assert hangs_up_on(hostile, more)
    client.send(["a"], 1)
    assert client.vectors()[0] == 1


def test_who_does_not_read_is_not_worked_for(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-pooling_strategy", "NONE", "-max_seq_len", "64")
    deaf, other = connect(server, b"deaf", listen=False), connect(server, b"other")
    deaf.sub.setsockopt(zmq.RCVHWM, 1)
    deaf.listen(b"deaf")
    other.ask(b"SHOW_CONFIG")
    size, requests = 3000 * 64 * 8 * 4, 100
    for number in range(requests):
        deaf.send(["a"] * 3000, number)
    assert size * requests > 500 << 20

    def queue() -> dict[str, int]:
        return other.ask(b"SHOW_STATUS")["queue"]

    wait_until(lambda: queue()["waiting_reply_bytes"] > 256 << 20, 60)
    time.sleep(2)
    assert queue()["waiting_requests"] > 0
    assert queue()["waiting_reply_bytes"] < 300 << 20
    deaf.send(["a"], 1000)
    other.send(["b c"], 1)
    assert other.vectors()[0] == 1
    replies = [deaf.receive(60) for _ in range(requests + 1)]
    headers = {int(frames[-1]): json.loads(frames[1]) for frames in replies}
    assert headers.pop(1000)["error"]["code"] == "overloaded"
    assert set(headers) == set(range(requests))
    assert all(header["shape"] == [3000, 64, 8] for header in headers.values())
    assert queue()["dropped_replies"] == queue()["waiting_reply_bytes"] == 0


def test_large_payloads_of_nonsense_are_refused(server: RunningServer, connect: Connect) -> None:
    client, size = connect(server), 8 << 20
    cases = {
        "texts[0][0]: must be": (b"[" * size, 1),
        "holds more": (b"[" + b'"a",' * (size // 4) + b'"a"]', 1),
        "texts[0]: must be a string, not an object": (b"[" + b"{}," * 900_000 + b"{}]", 900_001),
        "the list of tokens is empty": (b"[" + b"[]," * 900_000 + b"[]]", 900_001),
        "not a JSON list": (b" " * size, 1),
        "characters, more than": (b'["' + b"a " * LIMITS.max_text_characters + b'"]', 1),
        "most 1000000 texts": (b"[" + b'"a",' * 1_500_000 + b'"a"]', 1_500_001),
    }
    for number, (message, (payload, count)) in enumerate(cases.items()):
        client.send(payload, number, count)
        answered, error = client.error()
        assert answered == number
        assert message in error["message"]


def test_no_path_of_the_server_in_errors(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "error_id=29")
    client = connect(server)
    client.send(["z"], 1)
    message = client.error()[1]["message"]
    assert "RuntimeError" in message
    assert os.sep not in message
    server.wait_for(os.sep + "engines" + os.sep)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)
TEXTS = st.lists(st.text(min_size=1, max_size=4) | st.lists(st.text(max_size=3), max_size=3), max_size=4)


def are_texts(value: Any) -> bool:
    def is_text(one: Any) -> bool:
        return isinstance(one, str) and bool(one.strip()) and len(one) <= LIMITS.max_text_characters

    if not isinstance(value, list) or not value:
        return False
    of_tokens = all(isinstance(one, list) and one and all(map(is_text, one)) for one in value)
    return of_tokens or all(map(is_text, value))


@given(
    TEXTS | JSON,
    st.booleans(),
    st.sampled_from([None, 1]),
    st.none() | st.tuples(st.integers(0), st.binary(max_size=1)),
)
def test_texts_are_read_as_the_json_module_reads_them(
    value: object, escaped: bool, indent: int | None, change: tuple[int, bytes] | None
) -> None:
    payload = json.dumps(value, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")
    if change:
        place = change[0] % len(payload)
        payload = payload[:place] + change[1] + payload[place + 1 :]
    try:
        wanted = json.loads(payload.decode("utf-8"))
        assert are_texts(wanted)
    except (ValueError, AssertionError, RequestError):
        with pytest.raises(RequestError):
            parse_texts(payload, 1, LIMITS)
        return
    assert parse_texts(payload, len(wanted), LIMITS) == wanted
    for count in (len(wanted) - 1, len(wanted) + 1):
        with pytest.raises(RequestError, match="announces"):
            parse_texts(payload, count, LIMITS)


@given(
    st.dictionaries(st.sampled_from(["id", "texts", "more", ""]), TEXTS | JSON, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.none() | st.tuples(st.integers(0), st.binary(max_size=1)),
)
def test_bodies_are_read_as_the_json_module_reads_them(
    value: dict[str, Any], escaped: bool, indent: int | None, change: tuple[int, bytes] | None
) -> None:
    """What is no JSON is told so in the same words, unless the reading has ended before at texts that are none."""
    body = json.dumps(value, ensure_ascii=escaped, indent=indent)
    if change:
        place = change[0] % len(body)
        body = body[:place] + change[1].decode("latin-1") + body[place + 1 :]
    wanted: Any = None
    fault = ""
    try:
        wanted = json.loads(body, parse_constant=refuse)
    except ValueError as error:
        fault = f"Not a JSON. ({error})"
    if isinstance(wanted, dict) and ("texts" not in wanted or are_texts(wanted["texts"])):
        assert parse_object(body, LIMITS) == wanted
        return
    with pytest.raises(RequestError) as caught:
        parse_object(body, LIMITS)
    message = caught.value.message
    assert message == fault or "texts" in message
    if isinstance(wanted, dict):
        assert message.startswith(("texts[", "the list of texts", '"texts" must be'))


def refuse(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
