"""What the server adds to its engine: bulk rate, latency of one sentence, and latency beside a bulk client; in turn.

Usage: python -m benchmarks.serving_cost --model_dir DIR --texts FILE [--precision bf16] [--sentences 2048]
           [--bulk_beside 4096] [--singles 200] [--runs 3]

The engine is the one that -engine auto takes; it runs in this process on batches made ready before (sorted by length,
cut at the server's own budget). The server is ours with one worker and as many threads. In each round: engine and
server encode all sentences; engine and server encode one short sentence, again and again; the server does so while
another client encodes --bulk_beside sentences in one request. FILE has a text a line. Prints a Markdown table of
medians and the ratios of each round.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common import LONG_MS, Rounds, Server, command_line, read_texts
from bert_ft import ModelDirectory
from bert_ft.engines import engine_class
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.selection import select
from bert_ft.hardware.choice import AUTO
from bert_ft.hardware.processor import usable_cores
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import PackedBatch, pack


def main() -> None:
    options = _options()
    engine = engine_class(select(AUTO, options.precision, gpu=False).engine).load(
        EngineOptions(str(options.model_dir), precision=options.precision, threads=usable_cores())
    )
    texts = read_texts(options.texts)
    texts = (texts * -(-options.bulk_beside // len(texts)))[: max(options.bulk_beside, options.sentences)]
    beside = texts[: options.bulk_beside]
    bulk, short = texts[: options.sentences], min(texts, key=lambda text: abs(len(text) - 10))
    flags = ["-model_dir", str(options.model_dir.resolve()), "-precision", options.precision]
    rounds = Rounds(".4g")
    note = rounds.note
    with Server(flags) as server, server.client(LONG_MS) as client, server.client(LONG_MS) as other:
        client.encode(bulk[:256])
        budget = client.server_status["queue"]["batch_tokens"]
        batches, single = _prepare(options.model_dir, bulk, short, budget)
        for batch in [*batches, single]:
            engine.run(batch)
        for _ in range(options.runs):
            note("engine, bulk, texts/s", len(bulk) / _seconds(lambda: [engine.run(batch) for batch in batches]))
            note("server, bulk, texts/s", len(bulk) / _seconds(lambda: client.encode(bulk)))
            time.sleep(2)
            note("engine, one, p50 ms", _percentiles(lambda: engine.run(single), options.singles)[0])
            # bulk batches stay short for a while after single requests, so they come last
            p50, p99 = _percentiles(lambda: client.encode([short]), options.singles)
            note("server, one, p50 ms", p50)
            note("server, one, p99 ms", p99)
            p50, p99, seconds = _beside(lambda: client.encode([short]), lambda: other.encode(beside))
            note("beside bulk, one, p50 ms", p50)
            note("beside bulk, one, p99 ms", p99)
            note("bulk beside one, texts/s", options.bulk_beside / seconds)
            client.encode(bulk[:1024])
    print(f"\n{options.precision}, {len(bulk)} sentences, budget {budget} pieces, one of {len(short)} characters\n")
    rounds.print_table()
    rounds.compare("server / engine, bulk", "server, bulk, texts/s", "engine, bulk, texts/s")
    rounds.compare("p99 beside bulk / alone", "beside bulk, one, p99 ms", "server, one, p99 ms")
    rounds.compare("bulk beside one / bulk", "bulk beside one, texts/s", "server, bulk, texts/s")
    rounds.subtract("server - engine, one, p50 ms", "server, one, p50 ms", "engine, one, p50 ms")


def _prepare(model_dir: Path, texts: list[str], short: str, budget: int) -> tuple[list[PackedBatch], PackedBatch]:
    model = ModelDirectory.open(model_dir)
    builder = InputBuilder(model.tokenizer(), model.max_pieces(None))
    features = sorted(builder.texts(texts), key=lambda one: len(one.ids))
    groups, pieces = [[features[0]]], len(features[0].ids)
    for one in features[1:]:
        if pieces + len(one.ids) > budget or len(groups[-1]) == 256:
            groups.append([])
            pieces = 0
        groups[-1].append(one)
        pieces += len(one.ids)
    return [pack(group) for group in groups], pack(builder.texts([short]))


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _percentiles(action: Callable[[], object], count: int) -> tuple[float, float]:
    """p50 and p99 in ms."""
    action()
    p50, p99 = np.percentile([_seconds(action) for _ in range(count)], [50, 99]) * 1000
    return float(p50), float(p99)


def _beside(one: Callable[[], object], bulk: Callable[[], object]) -> tuple[float, float, float]:
    """p50 and p99 in ms of ``one`` while ``bulk`` runs, and the seconds of ``bulk``; the first answer counts too."""
    times: list[float] = []
    taken: list[float] = []
    thread = threading.Thread(target=lambda: taken.append(_seconds(bulk)))
    thread.start()
    time.sleep(1)
    while thread.is_alive():
        times.append(_seconds(one))
    thread.join()
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return float(p50), float(p99), taken[0]


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "model_dir", "texts")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--sentences", type=int, default=2048)
    parser.add_argument("--bulk_beside", type=int, default=4096)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps({name: str(value) for name, value in vars(options).items()}))
    return options


if __name__ == "__main__":
    main()
