"""The long row: full load, mixed sizes, clients that come and go."""

from __future__ import annotations

import random
import statistics
import threading
import time

from .bench import Bench, Outcome, Raw, Server, described, meanwhile, row

SAMPLE_SECONDS = 1.0
DRIFT = 0.03


class _Guests:
    """Clients that come, ask a few times and go; now and then one goes without its answer."""

    def __init__(self, bench: Bench, server: Server, seed: int) -> None:
        self.visits = self.answers = self.wrong = 0
        self.failures: list[str] = []
        self._bench, self._server, self._rng = bench, server, random.Random(seed)

    def run(self, over: threading.Event) -> None:
        while not over.is_set():
            try:
                with self._server.client() as client:
                    self.visits += 1
                    for _ in range(self._rng.randint(1, 30)):
                        numbers = self._bench.sample(self._rng, self._rng.choice([1, 4, 16, 256]))
                        self.wrong += not self._bench.ask(client, numbers)
                        self.answers += 1
                    if self._rng.random() < 0.2:
                        client.encode(self._bench.texts[:64], blocking=False)
            except Exception as error:
                self.failures.append(described(error))
                time.sleep(1)


@row("soak", "full load, mixed sizes, clients coming and going")
def soak(bench: Bench) -> Outcome:
    """Memory is flat if the median of the last fifth of the samples is that of the second fifth, within 3 %."""
    samples: list[tuple[float, int]] = []
    with bench.serve("-num_worker", "2") as server:
        guests = [_Guests(bench, server, seed) for seed in range(8)]
        bad = Raw(server, b"bad")
        end = time.monotonic() + bench.minutes * 60
        with meanwhile(*(guest.run for guest in guests)):
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
    answers, wrong = sum(one.answers for one in guests), sum(one.wrong for one in guests)
    failures = [one for guest in guests for one in guest.failures]
    visits, errors = sum(one.visits for one in guests), len(log)
    highest = [max(one[kind] for one in samples) for kind in (0, 1)]
    found = (
        f"{answers} answers, {wrong} wrong, {len(failures)} failed {failures[:1]}, {visits} visits; "
        f"memory {memory[0]:.0f} → {memory[1]:.0f} MB ({drift:+.1%}), highest {highest[0]:.0f}; "
        f"descriptors {files[0]:.0f} → {files[1]:.0f} (highest {highest[1]}); {errors} errors logged"
    )
    good = not wrong and not failures and not log and abs(drift) <= DRIFT and abs(files[1] - files[0]) <= 4
    return Outcome(f"{bench.minutes:g} minutes, 8 guests at a time, 2 workers", found, good)
