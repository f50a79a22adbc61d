"""The row about the HTTP door."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np

from .bench import Bench, Outcome, Watch, close, free_ports, row, until

MAX_GROWTH_MB = 1500


@row("http", "peers of the HTTP door that stall, send nonsense, send 100 MB or go, beside good ones")
def http(bench: Bench) -> Outcome:
    peers, seconds = bench.size(500, 100), bench.size(30, 10)
    (port, _) = free_ports()
    with bench.serve("-http_port", str(port)) as server, Watch(server) as memory:
        stalled = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(peers)]
        for number, peer in enumerate(stalled):
            peer.sendall(_HALF[: len(_HALF) if number % 2 else 40])
        over = threading.Event()
        answers, wrong, slowest, failures = 0, 0, 0.0, []
        nonsense = threading.Thread(target=_nonsense, args=(port, over), daemon=True)
        large = threading.Thread(target=_large, args=(port, over), daemon=True)
        for thread in (nonsense, large):
            thread.start()
        rng, end = random.Random(1), time.monotonic() + seconds
        while time.monotonic() < end:
            numbers = bench.sample(rng)
            began = time.monotonic()
            try:
                found = _ask(port, {"id": 1, "texts": [bench.texts[one] for one in numbers]})
                answers += 1
                wrong += not close(np.array(found["result"], np.float32), bench.vectors[numbers])
            except (OSError, KeyError, ValueError) as error:
                failures.append(f"{type(error).__name__}: {error}")
            slowest = max(slowest, time.monotonic() - began)
        over.set()
        for thread in (nonsense, large):
            thread.join(30)
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
    good = good and memory.peak - memory.first < MAX_GROWTH_MB and ended < 20
    return Outcome(f"{peers} stalled peers, nonsense and bodies of 100 MB for {seconds} s", found, good)


_HALF = b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b'{"id": 1, "texts": ['


def _ask(port: int, body: object) -> dict[str, list[list[float]]]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/encode", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())


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
            request = urllib.request.Request(f"http://127.0.0.1:{port}/encode", body)
            with contextlib.suppress(urllib.error.HTTPError, OSError):
                urllib.request.urlopen(request, timeout=60).close()
