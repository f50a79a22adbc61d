"""Replies that wait: order, bounds, expiry."""

from __future__ import annotations

import pytest
from bert_serving.server.frontends.zmq.outbox import Outbox
from bert_serving.server.limits import Limits


class Wire:
    """Stands in for the socket: takes what there is room for."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []
        self.room = 10**9
        self.now = 0.0

    def send(self, frames: list[bytes]) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.sent.append(frames)
        return True

    def clock(self) -> float:
        return self.now


@pytest.fixture
def wire() -> Wire:
    return Wire()


def limited(wire: Wire, **limits: int) -> Outbox:
    return Outbox(Limits(**limits), wire.send, clock=wire.clock)


@pytest.fixture
def outbox(wire: Wire) -> Outbox:
    return limited(wire)


def test_holds_until_a_reader_comes(wire: Wire, outbox: Outbox) -> None:
    outbox.put(b"a", [b"1"])
    outbox.put(b"b", [b"x"])
    outbox.put(b"a", [b"2"])
    assert wire.sent == []
    outbox.subscribe(b"a")
    outbox.put(b"a", [b"3"])
    assert wire.sent == [[b"1"], [b"2"], [b"3"]]


def test_keeps_order_while_the_reader_has_no_room(wire: Wire, outbox: Outbox) -> None:
    outbox.subscribe(b"a")
    wire.room = 1
    for frame in (b"1", b"2", b"3"):
        outbox.put(b"a", [frame])
    assert wire.sent == [[b"1"]]
    assert outbox.blocked
    wire.room = 1
    outbox.put(b"a", [b"4"])  # must not overtake
    assert wire.sent == [[b"1"]]
    outbox.flush()
    assert wire.sent == [[b"1"], [b"2"]]
    wire.room = 9
    outbox.flush()
    assert wire.sent == [[b"1"], [b"2"], [b"3"], [b"4"]]
    assert not outbox.blocked


def test_counts_readers_of_one_identity(wire: Wire, outbox: Outbox) -> None:
    outbox.subscribe(b"a")
    outbox.subscribe(b"a")
    outbox.unsubscribe(b"a")
    outbox.put(b"a", [b"1"])
    outbox.unsubscribe(b"a")
    outbox.put(b"a", [b"2"])
    outbox.unsubscribe(b"a")
    assert wire.sent == [[b"1"]]
    outbox.subscribe(b"a")
    assert wire.sent == [[b"1"], [b"2"]]
    assert len(outbox.readers) == 1


def test_expires_only_what_nobody_listens_to(wire: Wire, outbox: Outbox) -> None:
    outbox.subscribe(b"slow")
    wire.room = 0
    outbox.put(b"slow", [b"1"])
    outbox.put(b"absent", [b"2"])
    wire.now = Limits().zmq_hold_seconds - 1
    outbox.put(b"absent", [b"3"])
    wire.now += 2
    outbox.expire()
    wire.room = 9
    outbox.flush()
    outbox.subscribe(b"absent")
    assert wire.sent == [[b"1"], [b"3"]]
    assert outbox.dropped == 1


def test_bounds(wire: Wire) -> None:
    outbox = limited(wire, zmq_waiting_reply_bytes=0, zmq_max_reply_bytes=10, zmq_max_held_bytes=25)
    outbox.subscribe(b"slow")
    wire.room = 0
    for _ in range(3):
        outbox.put(b"slow", [b"xxxxx"])
    assert outbox.full(b"slow")
    assert not outbox.full(b"other")
    for number in range(4):
        outbox.put(b"absent", [b"12345", b"%d" % number])  # the oldest give way
    assert not outbox.full(b"absent")
    for identity in (b"p", b"q", b"r"):
        outbox.put(identity, [b"1234567890"])  # together more than may be held
    wire.room = 99
    outbox.flush()
    assert len(wire.sent) == 3
    for identity in (b"absent", b"p", b"q", b"r"):
        outbox.subscribe(identity)
    assert [frames[-1] for frames in wire.sent[3:]] == [b"1234567890", b"1234567890"]


def test_small_replies_are_counted(wire: Wire) -> None:
    outbox = limited(wire, zmq_max_replies=3)
    outbox.subscribe(b"slow")
    wire.room = 0
    for number in range(4):
        assert not outbox.full(b"slow")
        outbox.put(b"slow", [b"x"])
        outbox.put(b"absent", [b"%d" % number])
    assert outbox.full(b"slow")
    wire.room = 9
    outbox.subscribe(b"absent")
    assert wire.sent == [[b"1"], [b"2"], [b"3"]]


def test_bound_of_all_readers_together(wire: Wire) -> None:
    outbox = limited(wire, zmq_waiting_reply_bytes=10, zmq_max_all_reply_bytes=60)
    wire.room = 0
    for identity in (b"deaf", b"p", b"q"):
        outbox.subscribe(identity)
    for _ in range(4):
        outbox.put(b"deaf", [b"12345"])
    for identity in (b"p", b"q"):
        outbox.put(identity, [identity])  # what has waited longest gives way
    assert outbox.dropped == 2
    wire.room = 99
    outbox.flush()
    assert sorted(wire.sent) == [[b"12345"], [b"12345"], [b"p"], [b"q"]]
    assert not outbox.blocked
    for _ in range(10):
        outbox.put(b"deaf", [b"12345"])  # nothing of the old account is left
    assert outbox.dropped == 2


def test_a_reader_who_does_not_read_is_paused(wire: Wire) -> None:
    limits = Limits(zmq_waiting_reply_bytes=0, zmq_max_reply_bytes=10)
    paused: list[tuple[bytes, bool]] = []
    outbox = Outbox(limits, wire.send, lambda identity, wanted: paused.append((identity, wanted)), wire.clock)
    outbox.subscribe(b"a")
    wire.room = 0
    for _ in range(4):
        outbox.put(b"a", [b"12345"])
    assert paused == [(b"a", True)]
    wire.room = 2
    outbox.flush()
    assert paused == [(b"a", True)]
    wire.room = 1
    outbox.flush()
    assert paused == [(b"a", True), (b"a", False)]
    wire.room = 0
    for _ in range(3):
        outbox.put(b"a", [b"12345"])
    outbox.unsubscribe(b"a")  # its requests go on; it may come back
    assert paused[2:] == [(b"a", True), (b"a", False)]
    outbox.put(b"absent", [b"12345678901"])
    assert len(paused) == 4
