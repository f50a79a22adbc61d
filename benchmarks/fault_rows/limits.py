"""Rows about a full queue and about peers that abuse the result port."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zmq
from bert_serving.client import BertClient

from . import zmtp
from .bench import FAULTY, Bench, Load, Outcome, Raw, Server, Watch, row

MAX_GROWTH_MB = 2500
"""A peer on the same machine sends some 1.5 GB in the second between two looks."""


@row("overloaded", "queue full (-max_queue)")
def overloaded(bench: Bench) -> Outcome:
    requests = bench.size(60, 20)
    flags = ("-max_queue", "4", "-engine", FAULTY, "-engine_option", "batch_seconds=0.02")
    with bench.serve(*flags) as server:
        raw = Raw(server, b"raw")
        raw.send(bench.texts[:1], 0)
        raw.receive()
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
            with BertClient(timeout=60_000, **server.ports) as client:
                return sum(bench.ask(client, bench.sample(chosen)) for _ in range(requests))

        with ThreadPoolExecutor(16) as pool:
            right = sum(pool.map(work, range(16)))
        with Flood(bench, server):
            for _ in range(8):  # it may find a place
                old = _old_client_refused(bench, server.port, server.port_out)
                if old != "answered":
                    break
    found = (
        f"raw: {len(refused)} refused with {codes} (the first as answer {first + 1}, all 100 in {seconds:.1f} s); "
        f"{right} of {16 * requests} answers of 16 new clients right; old client: {old}"
    )
    good = codes == {"overloaded"} and right == 16 * requests and "bert-ft: " in old
    return Outcome("-max_queue 4: 100 requests at once, then 16 clients", found, good)


class Flood:
    """A client that keeps the queue full."""

    def __init__(self, bench: Bench, server: Server) -> None:
        self._client = Raw(server, b"flood")
        self._texts = bench.texts[:16]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        number = 0
        while not self._over.wait(0.001):
            number += 1
            self._client.send(self._texts, number)
            while self._client.sub.poll(0):
                self._client.sub.recv_multipart()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


def _old_client_refused(bench: Bench, port: int, port_out: int) -> str:
    script = Path(__file__).with_name("old_client.py")
    done = subprocess.run(
        [sys.executable, str(script), str(bench.old_client), str(port), str(port_out)],
        input='{"texts": ["' + bench.texts[0] + '"], "timeout": 20000}\n', capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(bench.old_client)},
    )  # fmt: skip
    return "answered" if '"shape"' in done.stdout else (done.stdout[:200] or done.stderr[-200:]).strip()


@row("result-port", "hostile messages at the result port")
def result_port(bench: Bench) -> Outcome:
    """Unsubscriptions for others, messages that are no subscription, subscriptions to everything and in masses."""
    rounds = bench.size(200, 30)
    with bench.serve() as server:
        context = zmq.Context()
        victim = Raw(server, b"victim")
        victim.send(bench.texts[:1], 0)
        victim.receive()
        heard = 0
        spy = context.socket(zmq.SUB)
        for topic in (b"", b"v", b"victim\0"):
            spy.setsockopt(zmq.SUBSCRIBE, topic)
        spy.connect(f"tcp://127.0.0.1:{server.port_out}")
        right = 0
        with Load(bench, server, 4, 0.01) as load:
            for number in range(rounds):
                hostile = context.socket(zmq.XSUB)
                hostile.setsockopt(zmq.LINGER, 0)
                hostile.connect(f"tcp://127.0.0.1:{server.port_out}")
                _unsubscribe_without_subscription(server.port_out, b"victim")
                hostile.send(b"\7no subscription")
                hostile.send(os.urandom(30))
                newcomer = Raw(server, b"newcomer-%d" % number)
                hostile.send(b"\x01newcomer")
                texts = [number % len(bench.texts)]
                for client in (victim, newcomer):
                    client.send([bench.texts[one] for one in texts], number)
                for client in (victim, newcomer):
                    _, vectors = client.receive(30)
                    right += isinstance(vectors, np.ndarray) and bench.right(vectors, texts)
                newcomer.close()
                hostile.close()
        many = context.socket(zmq.XSUB)
        many.connect(f"tcp://127.0.0.1:{server.port_out}")
        for number in range(50_000):
            many.send(b"\x01mass-%d" % number)
        while spy.poll(200):
            spy.recv_multipart()
            heard += 1
        time.sleep(1)
        listening = server.status()["queue"]["listening_identities"]
        victim.close()
        context.destroy(0)
    found = (
        f"{listening} readers after 50,000 subscriptions of one peer; victims: {right} of {2 * rounds} right; "
        f"spy heard {heard}; {load}"
    )
    return Outcome(
        f"{rounds} rounds beside 4 good clients",
        found,
        right == 2 * rounds and not heard and load.good and listening <= 10_010,
    )


@row("endless", "messages without end")
def endless(bench: Bench) -> Outcome:
    """Frame after frame of one message, each below the limit of a frame."""
    rounds, found = bench.size(6, 2), []
    with bench.serve() as server, Watch(server) as memory, Load(bench, server, 4, 0.01) as load:
        for number in range(rounds):
            port, kind, size = ((server.port, b"PUSH", 1 << 20), (server.port_out, b"SUB", 60_000))[number % 2]
            frame = b"\3" + size.to_bytes(8, "big") + bytes(size)
            sent, began = 0, time.monotonic()
            with zmtp.connect(port, kind) as peer, contextlib.suppress(OSError):
                while time.monotonic() < began + 20:
                    peer.sendall(frame)
                    sent += size
            found.append(f"{sent / 1e6:.0f} MB" if time.monotonic() < began + 20 else "NOT CUT OFF")
    good = load.good and "NOT CUT OFF" not in found and memory.peak - memory.first < MAX_GROWTH_MB
    cut = f"cut off after {', '.join(found)}"
    return Outcome(f"{rounds} peers, at both ports in turn", f"{cut}; {memory}; {load}", good)


def _unsubscribe_without_subscription(port: int, topic: bytes) -> None:
    """By hand: libzmq's own sockets do not send one."""
    with zmtp.connect(port, b"SUB") as peer:
        peer.sendall(bytes([0, len(topic) + 1, 0]) + topic)
        time.sleep(0.02)
