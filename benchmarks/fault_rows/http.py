"""The row about the HTTP door."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from functools import partial

from .bench import Bench, Outcome, close, described, meanwhile, row, until, watched
from .callers import post

MAX_GROWTH_MB = 1500


@row("http", "peers of the HTTP door that stall, send nonsense, send 100 MB or go, beside good ones")
def http(bench: Bench) -> Outcome:
    peers, seconds = bench.size(500, 100), bench.size(30, 10)
    answers, wrong, slowest, failures = 0, 0, 0.0, []
    with bench.serve(http=True) as server, watched(server) as memory:
        port = server.http_port
        stalled = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(peers)]
        for number, peer in enumerate(stalled):
            peer.sendall(_HALF[: len(_HALF) if number % 2 else 40])
        rng, end = random.Random(1), time.monotonic() + seconds
        with meanwhile(partial(_nonsense, port), partial(_large, port)):
            while time.monotonic() < end:
                numbers = bench.sample(rng)
                began = time.monotonic()
                try:
                    vectors = post(port, bench.chosen(numbers), timeout=60)
                    answers += 1
                    wrong += not close(vectors, bench.vectors[numbers])
                except (OSError, KeyError, ValueError) as error:
                    failures.append(described(error))
                slowest = max(slowest, time.monotonic() - began)
        for peer in stalled[: peers // 2]:
            peer.close()
        began = time.monotonic()
        status = server.end()
        ended = time.monotonic() - began
        for peer in stalled:
            peer.close()
        tracebacks = server.log.count("Traceback")
        alive = until(lambda: server.process.poll() is not None, 5)
    found = (
        f"{answers} answers, {wrong} wrong, {len(failures)} failed {failures[:1]}, slowest {slowest:.1f} s; {memory}; "
        f"exit {status} in {ended:.1f} s; {tracebacks} tracebacks logged"
    )
    good = alive and answers > 0 and not wrong and not failures and status == 0 and not tracebacks
    good = good and memory.growth < MAX_GROWTH_MB and ended < 20
    return Outcome(f"{peers} stalled peers, nonsense and bodies of 100 MB for {seconds} s", found, good)


_HALF = b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b'{"id": 1, "texts": ['


def _nonsense(port: int, over: threading.Event) -> None:
    rng = random.Random(2)
    while not over.wait(0.01):
        body = rng.choice([b"", b"{", b"[" * 50_000, b'{"id": 1, "texts": [1]}', rng.randbytes(100)])
        head = rng.choice([b"POST /encode HTTP/1.1\r\nHost: x\r\n", b"GET /encode HTTP/1.1\r\n", rng.randbytes(60)])
        size = rng.choice([len(body), len(body) + 9, 0, -1])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            peer.sendall(head + b"Content-Length: %d\r\n\r\n" % size + body)
            if rng.random() < 0.5:
                peer.settimeout(0.2)
                peer.recv(1000)


def _large(port: int, over: threading.Event) -> None:
    bodies = [b'{"id": 1, "texts": ["' + b"a b " * (25 << 20) + b'"]}', b"[" * (100 << 20), bytes(100 << 20)]
    while not over.wait(0.5):
        for body in bodies:
            with contextlib.suppress(urllib.error.HTTPError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/encode", body, timeout=60).close()
