"""Our server beside the original bert-serving-server 1.10.0: start, bulk encoding, many clients, memory; in turn.

Usage: python -m benchmarks.peers.servers --legacy DIR --model_dir DIR --texts FILE
           [--sentences 2048] [--clients 16] [--runs 3] [--json OUT.json]

DIR of --legacy is an environment with bert-serving-server 1.10.0; it is made if it is not there, with TensorFlow
1.15.5, on the Python 3.7 of --python37. Ours is that of this interpreter. All servers pool the layer before the last
(REDUCE_MEAN), with one worker. In each round every server is started (time from the command to "all set"), encodes a
few sentences that do not count, then all sentences in one request, and is then asked by all clients at once, one
sentence at a time, for --seconds; memory is the sum of the proportional set sizes of its processes at the end. Only one
server lives at a time. The original comes twice: with -max_seq_len 128, padding all to that, and NONE, padding each
batch to its longest text. Vectors are compared with the first server's. FILE has a text a line, or label TAB text.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import LONG_MS, command_line, least_cosine, markdown_table, read_texts
from benchmarks.peers.environments import legacy_server

ALL_SET = 600
COMPARED = 64


@dataclass
class Server:
    """Ours or another program, with its flags, and the figures of each round.

    Attributes:
        ready: seconds from the command to "all set".
        bulk: sentences/s of one large request.
        crowd: sentences/s of all clients together.
        memory: MB.
        vectors: of the first texts, float32 [COMPARED, dim].
    """

    name: str
    flags: list[str]
    command: list[str] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    crowd: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    vectors: np.ndarray = field(default_factory=lambda: np.empty(0))

    def turn(self, texts: list[str], clients: int, seconds: float) -> None:
        """Start, measure, stop."""
        with common.Server(self.flags, self.command, patience=ALL_SET) as server:
            self.ready.append(server.ready_seconds)
            with server.client(LONG_MS) as client:
                self.vectors = client.encode(texts[:COMPARED])
                began = time.monotonic()
                client.encode(texts)
                self.bulk.append(len(texts) / (time.monotonic() - began))
            if clients:
                self.crowd.append(crowd_rate(server, texts, clients, seconds))
            self.memory.append(server.memory_mb())

    def record(self) -> dict[str, Any]:
        figures = {"ready_seconds": self.ready, "bulk_per_second": self.bulk, "clients_per_second": self.crowd}
        return {"server": self.name, "flags": self.flags, **figures, "memory_mb": self.memory}


def crowd_rate(server: common.Server, texts: list[str], clients: int, seconds: float) -> float:
    """Sentences/s that all clients get together, each asking for one at a time; the first answers do not count."""
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(server.client(LONG_MS)) for _ in range(clients)]
        for client in crowd:
            client.encode(texts[:1])
        end = time.monotonic() + seconds

        def ask(number: int) -> int:
            for count in itertools.count():
                crowd[number].encode([texts[(number + clients * count) % len(texts)]])
                if time.monotonic() > end:
                    return count
            raise AssertionError

        with ThreadPoolExecutor(clients) as pool:
            return sum(pool.map(ask, range(clients))) / seconds


def main() -> int:
    options = _options()
    warnings.filterwarnings("ignore", message='the server has no fixed "max_seq_len"')
    texts = read_texts(options.texts, options.sentences)
    servers = _servers(options)
    for run in range(options.runs):
        for server in servers:
            server.turn(texts, options.clients, options.seconds)
            crowd = f", {options.clients} clients {server.crowd[-1]:.1f}/s" if options.clients else ""
            print(
                f"round {run + 1}, {server.name}: ready {server.ready[-1]:.1f} s, bulk {server.bulk[-1]:.1f}/s{crowd}, "
                f"{server.memory[-1]:.0f} MB",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    print(f"{len(texts)} sentences of {np.mean([len(text) for text in texts]):.1f} characters, {options.runs} rounds\n")
    print(markdown(servers, options.clients))
    if options.json:
        result = {"sentences": len(texts), "clients": options.clients, "servers": [one.record() for one in servers]}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def markdown(servers: list[Server], clients: int) -> str:
    """Medians of the rounds, and least to most where it matters."""
    head = (
        f"| server | time to all set, s | bulk, sentences/s | least-most | {clients} clients, sentences/s | "
        "share of its bulk | memory, MB | least cosine | largest difference |"
    )
    first, rows = servers[0].vectors, []
    for one in servers:
        bulk = statistics.median(one.bulk)
        crowd = statistics.median(one.crowd) if one.crowd else None
        rows.append([
            one.name, f"{statistics.median(one.ready):.1f}",
            f"{bulk:.1f}", f"{min(one.bulk):.1f}-{max(one.bulk):.1f}",
            f"{crowd:.1f}" if crowd else "", f"{crowd / bulk:.0%}" if crowd else "",
            f"{statistics.median(one.memory):.0f}",
            f"{least_cosine(first, one.vectors):.6f}", f"{np.abs(first - one.vectors).max():.1e}",
        ])  # fmt: skip
    return "\n".join([markdown_table(head, rows), "", *_ratios(servers)])


def _ratios(servers: list[Server]) -> list[str]:
    """Ours against each original, median of the rounds' ratios."""
    lines = []
    for mine in servers:
        for other in servers:
            if mine.name.startswith("ours") and not other.name.startswith("ours"):
                bulk = statistics.median(a / b for a, b in zip(mine.bulk, other.bulk, strict=True))
                ready = statistics.median(a / b for a, b in zip(mine.ready, other.ready, strict=True))
                lines.append(f"{mine.name} / {other.name}: bulk {bulk:.2f} times, time to all set {ready:.2f} times")
    return lines


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "model_dir", "texts")
    parser.add_argument("--legacy", type=Path, help="without it, ours alone")
    parser.add_argument("--python37", default="python3.7", help="to make --legacy with")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16", "int8"], default=["fp32", "bf16"])
    parser.add_argument("--sentences", type=int, default=2048, help="taken evenly from the file")
    parser.add_argument("--clients", type=int, default=16, help="0: none")
    parser.add_argument("--seconds", type=float, default=15, help="for which the clients ask")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _servers(options: argparse.Namespace) -> list[Server]:
    model = ["-model_dir", str(options.model_dir.resolve())]
    servers = [
        Server(f"ours {precision}", [*model, "-max_seq_len", "128", "-precision", precision])
        for precision in options.precision
    ]
    if options.legacy:
        program = legacy_server(options.legacy, options.python37)
        for length in ("128", "NONE"):
            servers.append(Server(f"original {length}", [*model, "-cpu", "-max_seq_len", length], [str(program)]))
    return servers


if __name__ == "__main__":
    sys.exit(main())
