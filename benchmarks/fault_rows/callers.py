"""Rows about callers that take connections and give nothing, or go before they are answered."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from typing import Any

import numpy as np

from .bench import Bench, Outcome, close, described, faulty, row
from .server import Raw, in_threads, join, meanwhile, until, watched

MAX_GROWTH_MB = 1500
HALF = b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-"


def post(port: int, texts: list[str], timeout: float = 120, mark: bytes = b"") -> np.ndarray:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/encode", mark + _body(texts), timeout=timeout) as reply:
        return np.array(json.loads(reply.read())["result"], np.float32)


def _body(texts: list[str]) -> bytes:
    return json.dumps({"id": 1, "texts": texts}).encode()


def _request(body: bytes) -> bytes:
    return b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def health(port: int) -> float:
    """Seconds it took."""
    began = time.monotonic()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60).close()
    return time.monotonic() - began


def _half_sent(bench: Bench, limit: int, idle: int) -> tuple[str, bool]:
    with bench.serve(http=True, descriptors=limit) as server:
        port = server.http_port
        began = time.monotonic()
        peers = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(idle)]
        for peer in peers:
            peer.sendall(HALF)
        slowest = max(health(port) for _ in range(10))
        os.kill(server.workers()[0], signal.SIGKILL)
        with server.client() as client:
            right = bench.ask(client, range(8))
        right = right and close(post(port, bench.texts[:8]), bench.vectors[:8])
        time.sleep(max(0.0, began + 15 - time.monotonic()))
        open_ = sum(not _is_closed(peer) for peer in peers)
        size, tracebacks = len(server.log), server.log.count("Traceback")
        for peer in peers:
            peer.close()
        status = server.end()
    found = (
        f"ulimit -n {limit}, {idle}: /health in {slowest:.2f} s at most, both doors right {right} after a worker was "
        f"killed, {open_} open after 15 s, log {size} bytes, {tracebacks} tracebacks, exit {status}"
    )
    return found, right and open_ == 0 and status == 0 and not tracebacks and size < 20_000 and slowest < 5


def _is_closed(peer: socket.socket) -> bool:
    peer.settimeout(0)
    try:
        while peer.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


@row("half-sent", "half-sent HTTP requests that take all descriptors")
def half_sent(bench: Bench) -> Outcome:
    results = [_half_sent(bench, 1024, 1100), _half_sent(bench, 400, 420)]
    found = "; ".join(found for found, _ in results)
    return Outcome("1,100 half-sent requests under ulimit 1024, 420 under 400", found, all(good for _, good in results))


@row("hang-up", "callers who hang up, and a client killed with much waiting")
def hang_up(bench: Bench) -> Outcome:
    code = (
        "import sys; sys.path.insert(0, '.'); from bert_serving.client import BertClient\n"
        "client = BertClient(port=int(sys.argv[1]), port_out=int(sys.argv[2]))\n"
        "for _ in range(30): client.encode(sys.argv[3:] * 100, blocking=False)\n"
        "print('sent', flush=True)\nclient.fetch_all()\n"
    )
    with bench.serve(*faulty(batch_seconds=0.2), "-max_batch_size", "16", http=True) as server:

        def seconds_until_nothing_waits() -> float:
            began = time.monotonic()
            nothing = until(lambda: server.queue("waiting_requests") == 0, 60)
            return time.monotonic() - began if nothing else math.inf

        callers = []
        for _ in range(12):
            callers.append(socket.create_connection(("127.0.0.1", server.http_port), timeout=30))
            callers[-1].sendall(_request(_body((bench.texts * 2)[:400])))
        time.sleep(1)
        began = time.monotonic()
        right = close(post(server.http_port, bench.texts[:1]), bench.vectors[:1])
        small = time.monotonic() - began
        for caller in callers:
            caller.close()
        http = seconds_until_nothing_waits()
        client = subprocess.Popen(
            [sys.executable, "-c", code, str(server.port), str(server.port_out), *bench.texts[:1]],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert client.stdout
        client.stdout.readline()
        until(lambda: server.queue("waiting_requests") == 30, 20)
        client.kill()
        client.wait()
        zmq = seconds_until_nothing_waits()
        status = server.end()
    found = (
        f"one text by HTTP beside 12 x 400 in {small:.1f} s, right {right}; nothing waits "
        f"{http:.1f} s after they hung up, {zmq:.1f} s after a client with 3,000 texts was killed; exit {status}"
    )
    good = right and math.isfinite(http + zmq)
    return Outcome("12 HTTP requests of 400 texts, closed; a ZeroMQ client killed", found, good)


@row("one-count", "-max_queue 5, five requests by each door")
def one_count(bench: Bench) -> Outcome:
    outcomes: list[str] = []
    slow = [*faulty(batch_seconds=0.5), "-max_batch_size", "1"]
    with bench.serve(*slow, "-max_queue", "5", http=True) as server:

        def ask() -> None:
            try:
                post(server.http_port, bench.texts[:8])
                outcomes.append("answered")
            except urllib.error.HTTPError as error:
                outcomes.append(f"{error.code}")

        threads = in_threads(*[ask] * 3)
        client = Raw(server, b"asker")
        until(lambda: server.queue("waiting_http_requests") == 3, 20)
        for number in range(5):
            client.send(bench.texts[:8], number)
        until(lambda: server.queue("waiting_requests") == 5, 20)
        waiting = server.queue("waiting_requests")
        threads += in_threads(*[ask] * 2)
        answers = [client.receive(120)[1] for _ in range(5)]
        refused = sum(isinstance(answer, dict) for answer in answers)
        join(threads, 120)
        client.close()
        status = server.end()
    found = (
        f"{waiting} wait; by ZeroMQ {5 - refused} answered, {refused} refused; by HTTP {sorted(outcomes)}; "
        f"exit {status}"
    )
    good = waiting == 5 and refused == 3 and sorted(outcomes) == ["503", "503", *["answered"] * 3] and status == 0
    return Outcome("-max_queue 5: 3 by HTTP, 5 by ZeroMQ, 2 by HTTP", found, good)


_GOOD = json.dumps({"id": 1, "texts": ["今天"]}, ensure_ascii=False)
_BODIES: dict[str, tuple[bytes, str]] = {
    "half a JSON": (b'{"id": 1, ', "Not a JSON."),
    "NaN as id": (b'{"id": NaN, "texts": ["a"]}', "JSON has no NaN"),
    "1e999 as id": (b'{"id": 1e999, "texts": ["a"]}', "too large"),
    "UTF-16": (_GOOD.encode("utf-16"), "UTF-16; send UTF-8"),
    "GBK": (_GOOD.encode("gbk"), "it may be GBK: send UTF-8"),
    "gzip": (gzip.compress(_GOOD.encode()), "compressed with gzip"),
}
_HEADS: dict[str, tuple[bytes, int, str]] = {
    "no such route": (b"GET /encodes HTTP/1.1\r\nHost: x\r\n\r\n", 404, "POST /encode"),
    "wrong method": (b"GET /encode HTTP/1.1\r\nHost: x\r\n\r\n", 405, "takes POST"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, "no HTTP/1.1 request"),
    "length and chunks": (
        b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""
    ),
}  # fmt: skip


@row("bad-http", "malformed HTTP requests: the JSON error object with one right line")
def bad_http(bench: Bench) -> Outcome:
    failed = []
    cases = _HEADS | {name: (_request(body), 400, told) for name, (body, told) in _BODIES.items()}
    with bench.serve(http=True) as server:
        for name, (data, status, told) in cases.items():
            with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as peer:
                peer.sendall(data)
                answer = _read_answer(peer)
            if answer is None or answer.get("status") != status or told not in answer.get("description", ""):
                failed.append(f"{name}: {answer}")
        if not close(post(server.http_port, bench.texts[:2], mark=codecs.BOM_UTF8), bench.vectors[:2]):
            failed.append("byte order mark: wrong vectors")
        ended = server.end()
    total = len(cases) + 1
    found = "; ".join([f"{total - len(failed)} of {total} right, exit {ended}", *failed])
    return Outcome(f"{total} requests", found, not failed and ended == 0)


def _read_answer(peer: socket.socket) -> dict[str, Any] | None:
    data = b""
    while b"}" not in data and (part := peer.recv(65536)):
        data += part
    try:
        return json.loads(data.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None


@row("http", "peers of the HTTP door that stall, send nonsense, send 100 MB or go, beside good ones")
def http(bench: Bench) -> Outcome:
    peers, seconds = bench.size(500, 100), bench.size(30, 10)
    answers, wrong, slowest, failures = 0, 0, 0.0, []
    with bench.serve(http=True) as server, watched(server) as memory:
        port = server.http_port
        stalled = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(peers)]
        for number, peer in enumerate(stalled):
            peer.sendall(_HALF_BODY[: len(_HALF_BODY) if number % 2 else 40])
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


_HALF_BODY = b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b'{"id": 1, "texts": ['


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
