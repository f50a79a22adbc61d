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

from bert_serving.client import BertClient, EngineFailedError

from .bench import FAULTY, READY, Bench, Load, Outcome, Server, row, until


def _killed(bench: Bench, workers: int) -> Outcome:
    every, total = (2.0, 600) if bench.quick else (10.0, 2000)
    least = 3
    with bench.serve("-num_worker", str(workers)) as server:
        over, kills = threading.Event(), [0]
        killer = threading.Thread(target=_kill_ready, args=(server, every, over, kills), daemon=True)
        pause = 8 * every * (least + 1) / total
        with Load(bench, server, 8, pause, total) as load:
            killer.start()
            load.join(every * 60)
            over.set()
        killer.join()
        restarts = sum(worker["restarts"] for worker in server.status()["workers"])
        logged = server.log.count("is lost: killed by SIGKILL")
    found = f"{kills[0]} kills, {restarts} restarts in status, {logged} in the log; {load}"
    good = load.good and load.answers == total and kills[0] >= least and restarts == logged == kills[0]
    return Outcome(
        f"{total} requests of 8 clients, {workers} worker(s), a ready one killed every {every:g} s", found, good
    )


def _kill_ready(server: Server, every: float, over: threading.Event, kills: list[int]) -> None:
    while not over.wait(every):
        ready = [one["pid"] for one in server.status()["workers"] if one["state"] in ("idle", "busy")]
        if ready and not over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(ready), signal.SIGKILL)
                kills[0] += 1


@row("killed-1", "SIGKILL of a ready worker, 1 worker")
def killed_one(bench: Bench) -> Outcome:
    return _killed(bench, 1)


@row("killed-3", "SIGKILL of a ready worker, 3 workers")
def killed_three(bench: Bench) -> Outcome:
    return _killed(bench, 3)


def _poisoned(bench: Bench, key: str, *flags: str, expected: str, lost: bool, maximum: int = 3) -> Outcome:
    """Requests of 8 texts with a poisoned one, and one poisoned alone, while 4 good clients ask."""
    times = bench.size(maximum, 1)
    word, number = bench.oracle.poison
    rng = random.Random(3)
    answers: list[str] = []
    with (
        bench.serve("-engine", FAULTY, "-engine_option", f"{key}={number}", *flags) as server,
        Load(bench, server, 4, 0.02) as load,
        BertClient(timeout=120_000, **server.ports) as client,
    ):
        for _ in range(times):
            texts = [bench.texts[one] for one in bench.sample(rng, 7)]
            texts.insert(rng.randrange(len(texts) + 1), word)
            for request in (texts, [word]):
                try:
                    client.encode(request)
                except EngineFailedError as error:
                    answers.append(error.message)
        right = bench.ask(client, bench.sample(rng))
        restarts = sum(worker["restarts"] for worker in server.status()["workers"])
    good = right and load.good and len(answers) == 2 * times and all(expected in one for one in answers)
    found = f"{len(answers)} of {2 * times} refused ({answers[-1:]}), {restarts} restarts; good clients: {load}"
    return Outcome(
        f"{2 * times} requests with a poisoned text among 4 good clients", found, good and (restarts > 0) == lost
    )


@row("crash", "a text that crashes the worker each time")
def crash(bench: Bench) -> Outcome:
    return _poisoned(bench, "crash_id", expected="killed by SIGKILL", lost=True)


@row("raise", "a text of which the engine raises an exception with a path in it")
def raises(bench: Bench) -> Outcome:
    return _poisoned(
        bench, "error_id", expected="the engine raised RuntimeError; the server's log says more", lost=False
    )


@row("memory", "a text of which the worker runs out of memory")
def memory(bench: Bench) -> Outcome:
    return _poisoned(bench, "memory_id", expected="out of memory", lost=True)


@row("stuck", "a text at which the worker hangs")
def stuck(bench: Bench) -> Outcome:
    flags = ("-engine_option", "sleep_seconds=3600", "-worker_timeout", str(bench.size(10, 6)))
    return _poisoned(bench, "sleep_id", *flags, expected="no sign of life for", lost=True, maximum=1)


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
        with bench.serve("-num_worker", "3", "-worker_timeout", "2", wait=False) as server:
            began = time.monotonic()
            ready = until(lambda: READY in server.log or server.process.poll() is not None, 240)
            seconds, retries = time.monotonic() - began, server.log.count("it was not ready within")
            right = False
            if READY in server.log:
                with BertClient(timeout=120_000, **server.ports) as client:
                    right = bench.ask(client, [0, 1, 2])
            last = server.log.splitlines()[-1]
    finally:
        for burner in burners:
            burner.kill()
    named = "-worker_timeout" in last and "worker " in last
    found = f"{retries} starts tried again, ready after {seconds:.0f} s, right {right}"
    return Outcome("-num_worker 3 -worker_timeout 2 beside 4 busy processes", found, ready and (right or named))
