"""The clients, in a program of their own: ``python -m bert_serving.benchmark.load``, JSON in and out.

Each client is a process. As threads they would wait for one another's interpreter lock, up to 5 ms each time, and
their own waiting would be measured as the server's. The program imports the client's few modules once and forks.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import warnings
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from bert_serving.client import BertClient

WARM_UP_TEXTS = 16


def main() -> None:
    warnings.simplefilter("ignore")  # texts that are too long are meant to be
    answer: dict[str, Any]
    try:
        answer = {"clients": run(json.load(sys.stdin))}
    except RuntimeError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def run(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Run all clients of a job at the same time.

    Raises:
        RuntimeError: one of them failed; the others were stopped.
    """
    # fork: this process has one thread, and 64 fresh interpreters would take longer than the measurement
    context = multiprocessing.get_context("fork")
    start = context.Barrier(len(job["clients"]))
    counted_left = context.Value("i", sum(client["requests"] is not None for client in job["clients"]))
    receivers: dict[Connection, int] = {}
    processes = []
    results: dict[int, dict[str, Any]] = {}
    try:
        for number, client in enumerate(job["clients"]):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_client, args=(sender, job, client, start, counted_left), daemon=True)
            process.start()
            sender.close()
            processes.append(process)
            receivers[receiver] = number
        while receivers:
            ready = wait(list(receivers))
            for receiver in [one for one in receivers if one in ready]:
                number = receivers.pop(receiver)
                try:
                    results[number] = receiver.recv()
                except EOFError:
                    raise RuntimeError(f"client {number} of {len(processes)} ended without a result") from None
                if "error" in results[number]:
                    raise RuntimeError(f"client {number} of {len(processes)}: {results[number]['error']}")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    return [results[number] for number in sorted(results)]


def _client(sender: Connection, job: dict[str, Any], plan: dict[str, Any], start: Any, counted_left: Any) -> None:
    try:
        sender.send(_measure(job, plan, start, counted_left))
    except Exception as error:
        sender.send({"error": f"{type(error).__name__}: {error}"})
    finally:
        sender.close()


def _measure(job: dict[str, Any], plan: dict[str, Any], start: Any, counted_left: Any) -> dict[str, Any]:
    texts, size, step = job["texts"], plan["batch_size"], plan["step"]
    limit, seconds = plan["requests"], job["seconds"]
    latencies: list[float] = []
    with BertClient(job["host"], job["port"], job["port_out"], check_length=False, retry=False) as client:
        warm_up = _batch(texts, plan["first"], min(size, WARM_UP_TEXTS), step)
        if not np.isfinite(client.encode(warm_up)).all():
            raise ValueError("the server sent vectors that are no finite numbers")
        start.wait()  # whoever fails before ends all
        processor = time.process_time()
        began = ended = time.monotonic()
        at = plan["first"]
        while True:
            batch = _batch(texts, at, size, step)
            sent = time.monotonic()
            vectors = client.encode(batch)
            ended = time.monotonic()
            if len(vectors) != size:
                raise ValueError(f"{size} texts were sent and {len(vectors)} vectors came back")
            latencies.append(ended - sent)
            at += size * step
            if limit is not None:
                over = len(latencies) == limit
            else:
                over = counted_left.value == 0 if seconds is None else ended - began >= seconds
            if over:
                break
        processor = time.process_time() - processor
        if limit is not None:
            with counted_left.get_lock():
                counted_left.value -= 1
    times = {"latencies": latencies, "began": began, "ended": ended, "processor_seconds": processor}
    return {**times, "warm_up_texts": len(warm_up)}


def _batch(texts: list[str], first: int, size: int, step: int) -> list[str]:
    return [texts[(first + step * offset) % len(texts)] for offset in range(size)]


if __name__ == "__main__":
    main()
