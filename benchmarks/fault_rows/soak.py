"""The long row: full load, mixed sizes, clients that come and go."""

from __future__ import annotations

import random
import statistics
import time

from .bench import Bench, Load, Outcome, Raw, described, row

SAMPLE_SECONDS = 1.0
DRIFT = 0.03


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
