"""Rows about workers: killed, crashed by a text, out of memory, stuck."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

from bert_serving.client import EngineFailedError
from common import READY

from .bench import Bench, Load, Outcome, faulty, row
from .server import meanwhile, until

RAISED = "the engine raised RuntimeError; the server's log says more"


@row("killed-3", "SIGKILL of a ready worker, 3 workers", workers=3)
@row("killed-1", "SIGKILL of a ready worker, 1 worker", workers=1)
def killed(bench: Bench, workers: int) -> Outcome:
    every, total = (2.0, 600) if bench.quick else (10.0, 2000)
    least = 3
    kills = 0
    with bench.serve("-num_worker", str(workers)) as server:

        def kill_ready(over: threading.Event) -> None:
            nonlocal kills
            while not over.wait(every):
                ready = [one["pid"] for one in server.status()["workers"] if one["state"] in ("idle", "busy")]
                if ready and not over.is_set():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(random.choice(ready), signal.SIGKILL)
                        kills += 1

        pause = 8 * every * (least + 1) / total
        with Load(bench, server, 8, pause, total) as load, meanwhile(kill_ready):
            load.join(every * 60)
        restarts = server.restarts()
        logged = server.log.count("is lost: killed by SIGKILL")
    found = f"{kills} kills, {restarts} restarts in status, {logged} in the log; {load}"
    good = load.good and load.answers == total and kills >= least and restarts == logged == kills
    return Outcome(
        f"{total} requests of 8 clients, {workers} worker(s), a ready one killed every {every:g} s", found, good
    )


@row("stuck", "a text at which the worker hangs", key="sleep_id", told="no sign of life for")
@row("memory", "a text of which the worker runs out of memory", key="memory_id", told="out of memory")
@row("raise", "a text of which the engine raises an exception with a path in it", key="error_id", told=RAISED)
@row("crash", "a text that crashes the worker each time", key="crash_id", told="killed by SIGKILL")
def poisoned(bench: Bench, key: str, told: str) -> Outcome:
    """Requests of 8 texts with a poisoned one, and one poisoned alone, while 4 good clients ask."""
    word, number = bench.poison
    times, flags, lost = bench.size(3, 1), faulty(**{key: number}), key != "error_id"
    if key == "sleep_id":
        times, flags = 1, [*faulty(sleep_id=number, sleep_seconds=3600), "-worker_timeout", str(bench.size(10, 6))]
    rng = random.Random(3)
    answers: list[str] = []
    with bench.serve(*flags) as server, Load(bench, server, 4, 0.02) as load, server.client(120_000) as client:
        for _ in range(times):
            texts = bench.chosen(bench.sample(rng, 7))
            texts.insert(rng.randrange(len(texts) + 1), word)
            for request in (texts, [word]):
                try:
                    client.encode(request)
                except EngineFailedError as error:
                    answers.append(error.message)
        right = bench.ask(client, bench.sample(rng))
        restarts = server.restarts()
    good = right and load.good and len(answers) == 2 * times and all(told in one for one in answers)
    found = f"{len(answers)} of {2 * times} refused ({answers[-1:]}), {restarts} restarts; good clients: {load}"
    sent = f"{2 * times} requests with a poisoned text among 4 good clients"
    return Outcome(sent, found, good and (restarts > 0) == lost)


@row("once", "a worker that dies once with every client's request in it")
def once(bench: Bench) -> Outcome:
    with bench.serve() as server, Load(bench, server, 32, 0.0) as load:
        time.sleep(2)
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        until(lambda: server.log.count("ready and listening!") >= 2, 60)
        time.sleep(2)
    return Outcome("32 clients without pause, the only worker killed once", str(load), load.good)


@row("slow-start", "-worker_timeout shorter than a start of 3 workers on a busy machine")
def slow_start(bench: Bench) -> Outcome:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        with bench.serve("-num_worker", "3", "-worker_timeout", "2", patience=0) as server:
            began = time.monotonic()
            ready = until(lambda: READY in server.log or server.process.poll() is not None, 240)
            seconds, retries = time.monotonic() - began, server.log.count("it was not ready within")
            right = False
            if READY in server.log:
                with server.client(120_000) as client:
                    right = bench.ask(client, [0, 1, 2])
            last = server.log.splitlines()[-1]
    finally:
        for burner in burners:
            burner.kill()
    named = "-worker_timeout" in last and "worker " in last
    found = f"{retries} starts tried again, ready after {seconds:.0f} s, right {right}"
    return Outcome("-num_worker 3 -worker_timeout 2 beside 4 busy processes", found, ready and (right or named))
