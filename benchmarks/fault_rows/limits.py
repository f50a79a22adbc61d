"""Rows about a full queue and about peers that abuse the result port."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import zmq

from . import zmtp
from .bench import Bench, Load, Outcome, faulty, row
from .server import CONTEXT, Raw, Server, meanwhile, watched

MAX_GROWTH_MB = 2500
"""A peer on the same machine sends some 1.5 GB in the second between two looks."""


@row("overloaded", "queue full (-max_queue)")
def overloaded(bench: Bench) -> Outcome:
    requests = bench.size(60, 20)
    with bench.serve("-max_queue", "4", *faulty(batch_seconds=0.02)) as server:
        raw = Raw(server, b"raw")
        raw.ask(bench.texts[:1])
        began = time.monotonic()
        for number in range(1, 101):
            raw.send(bench.texts[:16], number)
        answers = [raw.receive() for _ in range(100)]
        refused = [answer for _, answer in answers if isinstance(answer, dict)]
        first = next(place for place, (_, answer) in enumerate(answers) if isinstance(answer, dict))
        codes = {answer["code"] for answer in refused}
        seconds = time.monotonic() - began
        raw.close()

        def work(seed: int) -> int:
            chosen = random.Random(seed)
            with server.client() as client:
                return sum(bench.ask(client, bench.sample(chosen)) for _ in range(requests))

        with ThreadPoolExecutor(16) as pool:
            right = sum(pool.map(work, range(16)))
        with meanwhile(partial(_flood, bench, server)):
            for _ in range(8):  # it may find a place
                with bench.old(server) as ask:
                    answer = ask(texts=bench.texts[:1], timeout=20_000)
                if old := answer.get("message", ""):
                    break
    found = (
        f"raw: {len(refused)} refused with {codes} (the first as answer {first + 1}, all 100 in {seconds:.1f} s); "
        f"{right} of {16 * requests} answers of 16 new clients right; old client: {old}"
    )
    good = codes == {"overloaded"} and right == 16 * requests and "bert-ft: " in old
    return Outcome("-max_queue 4: 100 requests at once, then 16 clients", found, good)


def _flood(bench: Bench, server: Server, over: threading.Event) -> None:
    """A client that keeps the queue full."""
    client, number = Raw(server, b"flood"), 0
    while not over.wait(0.001):
        number += 1
        client.send(bench.texts[:16], number)
        while client.sub.poll(0):
            client.sub.recv_multipart()
    client.close()


@row("result-port", "hostile messages at the result port")
def result_port(bench: Bench) -> Outcome:
    """Unsubscriptions for others, messages that are no subscription, subscriptions to everything and in masses."""
    rounds, heard = bench.size(200, 30), 0
    with bench.serve() as server:
        victim = Raw(server, b"victim")
        victim.ask(bench.texts[:1])
        spy = CONTEXT.socket(zmq.SUB)
        for topic in (b"", b"v", b"victim\0"):
            spy.setsockopt(zmq.SUBSCRIBE, topic)
        spy.connect(f"tcp://127.0.0.1:{server.port_out}")
        right = 0
        with Load(bench, server, 4, 0.01) as load:
            for number in range(rounds):
                hostile = CONTEXT.socket(zmq.XSUB)
                hostile.connect(f"tcp://127.0.0.1:{server.port_out}")
                _unsubscribe_without_subscription(server.port_out, b"victim")
                hostile.send(b"\7no subscription")
                hostile.send(os.urandom(30))
                newcomer = Raw(server, b"newcomer-%d" % number)
                hostile.send(b"\x01newcomer")
                texts = [number % len(bench.texts)]
                for client in (victim, newcomer):
                    client.send(bench.chosen(texts), number)
                for client in (victim, newcomer):
                    right += bench.right(client.receive(30)[1], texts)
                newcomer.close()
                hostile.close()
        many = CONTEXT.socket(zmq.XSUB)
        many.connect(f"tcp://127.0.0.1:{server.port_out}")
        for number in range(50_000):
            many.send(b"\x01mass-%d" % number)
        while spy.poll(200):
            spy.recv_multipart()
            heard += 1
        time.sleep(1)
        listening = server.queue("listening_identities")
        for socket in (victim, spy, many):
            socket.close()
    found = (
        f"{listening} readers after 50,000 subscriptions of one peer; victims: {right} of {2 * rounds} right; "
        f"spy heard {heard}; {load}"
    )
    good = right == 2 * rounds and not heard and load.good and listening <= 10_010
    return Outcome(f"{rounds} rounds beside 4 good clients", found, good)


@row("endless", "messages without end")
def endless(bench: Bench) -> Outcome:
    """Frame after frame of one message, each below the limit of a frame."""
    rounds, found = bench.size(6, 2), []
    with bench.serve() as server, watched(server) as memory, Load(bench, server, 4, 0.01) as load:
        for number in range(rounds):
            port, kind, size = ((server.port, b"PUSH", 1 << 20), (server.port_out, b"SUB", 60_000))[number % 2]
            frame = b"\3" + size.to_bytes(8, "big") + bytes(size)
            sent, began = 0, time.monotonic()
            with zmtp.connect(port, kind) as peer, contextlib.suppress(OSError):
                while time.monotonic() < began + 20:
                    peer.sendall(frame)
                    sent += size
            found.append(f"{sent / 1e6:.0f} MB" if time.monotonic() < began + 20 else "NOT CUT OFF")
    good = load.good and "NOT CUT OFF" not in found and memory.growth < MAX_GROWTH_MB
    cut = f"cut off after {', '.join(found)}"
    return Outcome(f"{rounds} peers, at both ports in turn", f"{cut}; {memory}; {load}", good)


def _unsubscribe_without_subscription(port: int, topic: bytes) -> None:
    """By hand: libzmq's own sockets do not send one."""
    with zmtp.connect(port, b"SUB") as peer:
        peer.sendall(bytes([0, len(topic) + 1, 0]) + topic)
        time.sleep(0.02)
