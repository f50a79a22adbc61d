"""Rows about many clients, for long too, and about clients that do not read."""

from __future__ import annotations

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import zmq

from .bench import Bench, Load, Outcome, described, row
from .server import Raw, until, watched

TOKEN_LEVEL = ("-pooling_strategy", "NONE", "-max_seq_len", "512")
"""Every text's reply has 512 rows, so that a few requests fill the server's memory if nothing bounds it."""
MAX_GROWTH_MB = 600
SAMPLE_SECONDS = 1.0
DRIFT = 0.03


@row("never-reads", "a client that sends and never reads")
def never_reads(bench: Bench) -> Outcome:
    requests = bench.size(3000, 500)
    with bench.serve(*TOKEN_LEVEL) as server, watched(server) as memory, server.client(None) as good:
        deaf = Raw(server, b"deaf", listen=False)
        for option, value in ((zmq.RCVHWM, 1), (zmq.RCVBUF, 1 << 16)):
            deaf.sub.setsockopt(option, value)
        deaf.listen()
        time.sleep(0.5)
        # the server reads requests on, and refuses them, but works on no more of them
        answers, wrong, began = 0, 0, time.monotonic()
        for number in range(requests):
            deaf.send(bench.texts[:1] * 16, number)
            if number % 20 == 0:
                vectors = good.encode([bench.texts[number % 300]])
                answers += 1
                wrong += not np.isfinite(vectors).all() or vectors.shape != (1, 512, vectors.shape[2])
        time.sleep(10)
        seconds = time.monotonic() - began
        waiting = server.queue("waiting_requests")
        for number in range(requests, requests + 10):
            deaf.send(bench.texts[:1], number)
        time.sleep(1)
        refused = server.log.count("too many answers wait")
        deaf.close()
        cleared = until(lambda: server.queue("listening_identities") <= 2, 20)
    size = requests * 16 * 512 * 128 * 4 / 1e6
    found = (
        f"{memory}; {waiting} requests wait unanswered, {refused} refused; another client: "
        f"{answers} answers, {wrong} wrong, in {seconds:.0f} s"
    )
    good = memory.growth < MAX_GROWTH_MB and refused > 0 and cleared and not wrong
    return Outcome(f"{requests} requests, replies of {size:.0f} MB together", found, good)


@row("late", "a client that subscribes late")
def late(bench: Bench) -> Outcome:
    requests, rng = bench.size(500, 100), random.Random(4)
    asked = [bench.sample(rng) for _ in range(requests)]
    with bench.serve() as server, Load(bench, server, 4, 0.01) as load:
        client = Raw(server, b"late", listen=False)
        for number, texts in enumerate(asked):
            client.send(bench.chosen(texts), number)
        until(lambda: server.queue("waiting_requests") < 10, 60)
        time.sleep(5)
        client.listen()
        right = 0
        for _ in range(requests):
            number, vectors = client.receive()
            right += bench.right(vectors, asked[number])
        client.close()
    good = right == requests and load.good
    return Outcome(f"{requests} requests, subscribed 5 s after their answers", f"{right} right; others: {load}", good)


@row("outstanding", "10,000 outstanding requests of one client")
def outstanding(bench: Bench) -> Outcome:
    requests, rng = bench.size(10_000, 2000), random.Random(5)
    asked = [bench.sample(rng, 3) for _ in range(requests)]
    with bench.serve() as server, watched(server) as memory, Load(bench, server, 4, 0.01) as load:
        began = time.monotonic()
        with server.client(None) as client:
            for texts in asked:
                client.encode(bench.chosen(texts), blocking=False)
            right = sum(map(bench.right, client.fetch_all(), asked))
        seconds = time.monotonic() - began
    found = f"{right} right in {seconds:.0f} s; {memory}; others: {load}"
    good = right == requests and load.good and memory.growth < 500
    return Outcome(f"{requests} requests, then fetch_all", found, good)


@row("crowd", "500 clients at once")
def crowd(bench: Bench) -> Outcome:
    clients, each, rng = bench.size(500, 100), 4, random.Random(6)
    with bench.serve("-num_worker", "2") as server, watched(server) as memory:
        crowd = [Raw(server, b"crowd-%d" % number) for number in range(clients)]
        asked = {(number, request): bench.sample(rng) for number in range(clients) for request in range(each)}
        began = time.monotonic()
        for (number, request), texts in asked.items():
            crowd[number].send(bench.chosen(texts), request)
        right = 0
        for number, client in enumerate(crowd):
            for _ in range(each):
                request, vectors = client.receive(120)
                right += bench.right(vectors, asked[number, request])
        seconds = time.monotonic() - began
        listening = server.queue("listening_identities")
        for client in crowd:
            client.close()
    found = f"{right} of {len(asked)} right in {seconds:.0f} s, {listening} listening at once; {memory}"
    return Outcome(f"{clients} clients, {each} requests each", found, right == len(asked))


@row("come-and-go", "1,000 clients that come, ask once and go")
def come_and_go(bench: Bench) -> Outcome:
    clients = bench.size(1000, 200)
    with bench.serve() as server:

        def visit(number: int) -> bool:
            rng = random.Random(number)
            with server.client() as client:
                return bench.ask(client, bench.sample(rng, 4))

        visit(0)
        time.sleep(1)
        descriptors = server.usage()[1]
        began = time.monotonic()
        with watched(server) as memory, ThreadPoolExecutor(16) as pool:
            right = sum(pool.map(visit, range(clients)))
        seconds = time.monotonic() - began
        cleared = until(lambda: server.queue("listening_identities") <= 1, 20)
        back = until(lambda: server.usage()[1] <= descriptors + 2, 10)
        after = server.usage()[1]
    found = (
        f"{right} right in {seconds:.0f} s; {memory}; descriptors {descriptors} before, {after} after; "
        f"readers {'forgotten' if cleared else 'LEFT'}"
    )
    return Outcome(f"{clients} clients, 16 at a time", found, right == clients and cleared and back)


class _Guests(Load):
    """Clients that come, ask a few times and go; now and then one goes without its answer."""

    visits = 0

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._over.is_set():
            try:
                with self._server.client() as client:
                    self.visits += 1
                    for _ in range(rng.randint(1, 30)):
                        self._ask(client, self._bench.sample(rng, rng.choice([1, 4, 16, 256])))
                    if rng.random() < 0.2:
                        client.encode(self._bench.texts[:64], blocking=False)
            except Exception as error:
                self.failures.append(described(error))
                time.sleep(1)


@row("soak", "full load, mixed sizes, clients coming and going")
def soak(bench: Bench) -> Outcome:
    """Memory is flat if the median of the last fifth of the samples is that of the second fifth, within 3 %."""
    samples: list[tuple[float, int]] = []
    with bench.serve("-num_worker", "2") as server:
        bad = Raw(server, b"bad")
        end = time.monotonic() + bench.minutes * 60
        with _Guests(bench, server, 8) as guests:
            while time.monotonic() < end:
                time.sleep(SAMPLE_SECONDS)
                samples.append(server.usage())
                bad.send_payload(b"no JSON", len(samples), 1)
                bad.receive()
        bad.close()
        log = [line for line in server.log.splitlines() if line.startswith("E:") or "Traceback" in line]
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    memory = [statistics.median(one[0] for one in part) for part in (early, late)]
    files = [statistics.median(one[1] for one in part) for part in (early, late)]
    drift = memory[1] / memory[0] - 1
    highest = [max(one[kind] for one in samples) for kind in (0, 1)]
    found = (
        f"{guests}, {guests.visits} visits; "
        f"memory {memory[0]:.0f} → {memory[1]:.0f} MB ({drift:+.1%}), highest {highest[0]:.0f}; "
        f"descriptors {files[0]:.0f} → {files[1]:.0f} (highest {highest[1]}); {len(log)} errors logged"
    )
    good = guests.good and not log and abs(drift) <= DRIFT and abs(files[1] - files[0]) <= 4
    return Outcome(f"{bench.minutes:g} minutes, 8 guests at a time, 2 workers", found, good)
