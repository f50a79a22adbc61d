"""Who listens, when clients come, subscribe anew and go at any moment, and descriptors are used again at once."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
import zmq
from bert_serving.server.frontends.zmq.subscribers import Subscribers
from bert_serving.server.limits import Limits

from tests.server.support import Listening

SWEEP_SECONDS = 0.3


@pytest.mark.parametrize("seed", [1, 2])
def test_in_the_end_it_is_those_who_listen(seed: int) -> None:
    rng = random.Random(seed)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    replies = context.socket(zmq.XPUB)
    replies.setsockopt(zmq.XPUB_MANUAL, 1)
    port = replies.bind_to_random_port("tcp://127.0.0.1")
    listening = Listening()
    readers = Subscribers(replies, port, listening, lambda reason: None, Limits())
    clients: dict[bytes, zmq.Socket[bytes]] = {}
    swept = time.monotonic()

    def serve(seconds: float) -> None:
        nonlocal swept
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            readers.drain()
            if time.monotonic() - swept > SWEEP_SECONDS:
                readers.sweep()
                swept = time.monotonic()
            time.sleep(0.003)

    def act(number: int) -> None:
        what = rng.random()
        if what < 0.35 and len(clients) < 6:
            name = b"client-%d" % number
            clients[name] = context.socket(zmq.SUB)
            clients[name].setsockopt(zmq.SUBSCRIBE, name)
            clients[name].connect(f"tcp://127.0.0.1:{port}")
        elif what < 0.6 and clients:
            name = rng.choice(list(clients))
            for option in (zmq.UNSUBSCRIBE, zmq.SUBSCRIBE):
                clients[name].setsockopt(option, name)
        elif what < 0.8 and clients:
            clients.pop(rng.choice(list(clients))).close(linger=0)
        else:
            serve(rng.uniform(0, 0.02))

    try:
        for hour in range(170):
            for number in range(rng.randint(1, 6)):
                act(10 * hour + number)
                time.sleep(rng.choice([0, 0.002]))
            wanted = Counter(name + b"\0" for name in clients)
            deadline = time.monotonic() + 10
            while +listening != wanted:
                assert time.monotonic() < deadline, (hour, listening, wanted)
                serve(0.01)
    finally:
        context.destroy(linger=0)
