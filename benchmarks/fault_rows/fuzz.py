"""The row about requests of every wrong form."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import zmq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from . import zmtp
from .bench import Bench, Load, Outcome, row
from .server import Raw, Server, meanwhile, until, watched

MEGABYTE = 1 << 20
IDENTITIES_OF_ONE_SOCKET = 5000
MAX_GROWTH_MB = 2500
"""Two of the largest requests as bytes and as texts, and room for 60 s of replies that nobody takes."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
IDENTITIES = st.sampled_from(
    [b"fuzz", b"#", b"@", b"a#1@2", b"", b"\xff\xfe", "é漢".encode(), b"x\0y", b"i" * 2000]
) | st.binary(max_size=20)
PAYLOADS = (
    JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.sampled_from([b"SHOW_CONFIG", b"SHOW_STATUS", b"SHOW_STATE", b"null", b"[]", b'[""]', b'["a",]'])
    | st.sampled_from([b'["a"]', b'[["a"]]', b'["\\ud800"]', b'["\\u0000"]', b"[1e999]", b"[NaN]"])
    | st.sampled_from([b"[" * 50_000, b'[{"a":' * 5000, b'["' + b"a" * 100_000 + b'"]', b"[" + b"1," * 9999 + b"1]"])
)
NUMBERS = st.sampled_from(
    [b"0", b"1", b"2", b"-1", b"9" * 19, b"9" * 20, b"9" * 5000, b"1e3", b"", b" 1", b"\xb2"]
) | st.integers(0, 10**6).map(lambda number: b"%d" % number)
EXTRAS = st.sampled_from(
    [b"{}", b"[]", b'{"task": "tag"}', b'{"task": []}', b'{"task": {}}', b'{"request": 1}', b'{"request": 1e999}']
) | st.just(b"{" * 5000)
FRAMES = st.one_of(
    st.tuples(IDENTITIES, PAYLOADS, NUMBERS, NUMBERS).map(list),
    st.tuples(IDENTITIES, PAYLOADS, NUMBERS, NUMBERS, EXTRAS).map(list),
    st.lists(st.binary(max_size=60), min_size=1, max_size=8),
).filter(lambda frames: b"TERMINATION" not in frames)


def frames_of(count: int) -> Iterator[list[bytes]]:
    """So many messages made by hypothesis, in lots of a few thousand that are varied again and again."""
    made: list[list[bytes]] = []

    @settings(
        max_examples=min(count, 3000), deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(FRAMES)
    def collect(frames: list[bytes]) -> None:
        made.append(frames)

    collect()
    rng = random.Random(1)
    for number in range(count):
        frames = list(made[number % len(made)])
        if number >= len(made):
            _mutate(rng, frames)
        yield frames


def _mutate(rng: random.Random, frames: list[bytes]) -> None:
    place = rng.randrange(len(frames))
    what = rng.randrange(5)
    if what == 0:
        frames[place] = rng.randbytes(rng.randrange(60))
    elif what == 1 and frames[place]:
        at = rng.randrange(len(frames[place]))
        frames[place] = frames[place][:at] + rng.randbytes(1) + frames[place][at + 1 :]
    elif what == 2:
        frames[place] = frames[place][: rng.randrange(len(frames[place]) + 1)]
    elif what == 3:
        frames.insert(place, rng.randbytes(3))
    elif len(frames) > 1:
        del frames[place]


BIG: dict[str, Callable[[int], tuple[bytes, int]]] = {
    "spaces": lambda size: (b" " * size, 1),
    "one text": lambda size: (b'["' + b"a b " * (size // 4) + b'"]', 1),
    "one word": lambda size: (b'["' + b"a" * size + b'"]', 1),
    "escapes": lambda size: (b'["' + b"\\u4e00" * (size // 6) + b'"]', 1),
    "marks": lambda size: (b'["' + "e\u0301".encode() * (size // 3) + b'"]', 1),
    "short texts": lambda size: (b"[" + b'"a",' * (size // 4) + b'"a"]', size // 4 + 1),
    "short texts, announced as one": lambda size: (b"[" + b'"a",' * (size // 4) + b'"a"]', 1),
    "tokens": lambda size: (b"[[" + b'"ab",' * (size // 5) + b'"a"]]', 1),
    "empty lists": lambda size: (b"[" + b"[]," * (size // 3) + b"[]]", size // 3 + 1),
    "objects": lambda size: (b"[" + b"{}," * (size // 3) + b"{}]", size // 3 + 1),
    "numbers": lambda size: (b"[" + b"1," * (size // 2) + b"1]", size // 2 + 1),
    "one number": lambda size: (b"[" + b"1" * size + b"]", 1),
    "depth": lambda size: (b"[" * size, 1),
    "noise": lambda size: (random.Random(1).randbytes(size), 1),
}


@row("fuzz", "fuzzed frames and payloads of 100 MB, mixed with good clients")
def fuzz(bench: Bench) -> Outcome:
    count = bench.size(100_000, 10_000)
    size = (100 if not bench.quick else 20) * MEGABYTE
    with bench.serve() as server, watched(server) as memory, Load(bench, server, 4, 0.02) as load:
        fuzzer = _Fuzzer(server, count)
        with meanwhile(partial(_raw_bytes, server)):
            asked, missing, unasked = fuzzer.run()
            slow_before = load.slowest
            refused = _big_payloads(server, size)
            too_large = _beyond_the_limit(server)
        alive = server.process.poll() is None and len(server.workers()) == 1
        same = server.restarts() == 0
    silent = sorted(name for name, code in refused.items() if code.startswith("silent"))
    found = (
        f"{asked} could be answered, {missing} were not, {unasked} answers too many; "
        f"{size // MEGABYTE} MB payloads: {refused}; above the limit: {too_large}; "
        f"{memory}; good clients: {load} ({slow_before:.1f} s before the large ones)"
    )
    good = alive and same and load.good and missing == unasked == 0 and not silent
    good = good and too_large == ["too_large", "cut off"] and memory.growth < MAX_GROWTH_MB
    return Outcome(f"{count} frames, {len(BIG)} payloads of {size // MEGABYTE} MB, 4 good clients", found, good)


class _Fuzzer:
    """Messages, and sockets that listen to every identity in them that can be answered.

    They listen before the first message is sent: a subscription that is read behind somebody's nonsense costs its peer
    the connection, which nothing but a client of one identity takes lightly.
    """

    def __init__(self, server: Server, count: int) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._push = self._context.socket(zmq.PUSH)
        self._push.connect(f"tcp://127.0.0.1:{server.port}")
        self._poller = zmq.Poller()
        self._messages = list(frames_of(count))
        identities = sorted({frames[0] for frames in self._messages if _is_answerable(frames)})
        for start in range(0, len(identities), IDENTITIES_OF_ONE_SOCKET):
            sub = self._context.socket(zmq.SUB)
            sub.setsockopt(zmq.RCVHWM, 0)
            sub.setsockopt(zmq.SNDHWM, 0)  # subscriptions count, and those above it are dropped
            for identity in identities[start : start + IDENTITIES_OF_ONE_SOCKET]:
                sub.setsockopt(zmq.SUBSCRIBE, identity)
            sub.connect(f"tcp://127.0.0.1:{server.port_out}")
            self._poller.register(sub, zmq.POLLIN)
        until(lambda: server.queue("listening_identities") >= len(identities), 30)

    def run(self) -> tuple[int, int, int]:
        """How many messages could be answered, how many were not, and how many answers nobody had asked for."""
        asked: Counter[tuple[bytes, bytes]] = Counter()
        answered: Counter[tuple[bytes, bytes]] = Counter()
        for number, frames in enumerate(self._messages):
            if _is_answerable(frames):
                asked[frames[0] + b"\0", frames[2]] += 1
            self._push.send_multipart(frames)
            if number % 20 == 0:
                answered.update(self._take(0))
        while (asked - answered) and (taken := self._take(30_000)):
            answered.update(taken)
        answered.update(self._take(500))
        self._context.destroy(0)
        return sum(asked.values()), sum((asked - answered).values()), sum((answered - asked).values())

    def _take(self, timeout: int) -> list[tuple[bytes, bytes]]:
        """Topic and request id of what has come."""
        taken = []
        for sub, _ in self._poller.poll(timeout):
            while sub.poll(0):
                frames = sub.recv_multipart()
                taken.append((frames[0], frames[-1]))
        return taken


def _is_answerable(frames: list[bytes]) -> bool:
    identity = frames[0]
    if not identity or b"\0" in identity or len(identity) > 1024 or len(frames) < 4:
        return False
    return frames[2].isdigit() and len(frames[2]) <= 19


def _raw_bytes(server: Server, stop: threading.Event) -> None:
    """Bytes that are no ZMTP, broken handshakes, broken frames, at both ports."""
    rng = random.Random(2)
    while not stop.wait(0.01):
        port = rng.choice([server.port, server.port_out])
        with contextlib.suppress(OSError):
            if rng.random() < 0.5:
                with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
                    nonsense = rng.choice([b"GET / HTTP/1.1\r\n\r\n", zmtp.GREETING[:30], zmtp.GREETING, b""])
                    peer.sendall(nonsense + rng.randbytes(50))
            else:
                with zmtp.connect(port, b"PUSH" if port == server.port else b"SUB") as peer:
                    frames = zmtp.message(rng.randbytes(16).hex().encode(), rng.randbytes(20), b"1", b"1")
                    broken = rng.choice([frames[:-3], frames + rng.randbytes(9), b"\2" + b"\xff" * 8, b"\1\0" * 500])
                    peer.sendall(broken)


def _big_payloads(server: Server, size: int) -> dict[str, str]:
    answers: dict[str, str] = {}
    client = Raw(server, b"big")
    for number, (name, make) in enumerate(BIG.items()):
        payload, count = make(size)
        client.send_payload(payload, number, count)
        began = time.monotonic()
        answers[name] = f"{_answer(client, 180, 'silent')} {time.monotonic() - began:.1f} s"
    client.close()
    return answers


def _answer(client: Raw, timeout: float, silence: str) -> str:
    try:
        _, answer = client.receive(timeout)
    except TimeoutError:
        return silence
    return answer["code"] if isinstance(answer, dict) else "vectors"


def _beyond_the_limit(server: Server) -> list[str]:
    """Up to twice the limit there is an error; beyond it the peer is cut off."""
    found = []
    for megabytes in (200, 257):
        client = Raw(server, b"beyond-%d" % megabytes)
        client.send_payload(bytes(megabytes * MEGABYTE), 1, 1)
        found.append(_answer(client, 15, "cut off"))
        client.close()
    return found
