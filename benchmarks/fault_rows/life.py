"""Rows about start, stop and restart."""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from bert_serving.benchmark.processes import alive
from bert_serving.client import ServerShuttingDownError
from common import free_ports, program

from .bench import Bench, Load, Outcome, described, faulty, fill_with_noise, halve, row, working_folder
from .server import Raw, Server, in_threads, is_free, join, until


@row("sigkill", "SIGKILL of the parent", number=signal.SIGKILL)
@row("sigint", "SIGINT with requests in flight", number=signal.SIGINT)
@row("sigterm", "SIGTERM with requests in flight", number=signal.SIGTERM)
def stopped(bench: Bench, number: signal.Signals) -> Outcome:
    right, wrong, refused, silent = 0, 0, 0, 0
    requests = bench.size(400, 100)
    asked = [[(7 * request + one) % len(bench.texts) for one in range(16)] for request in range(requests)]
    killed = number == signal.SIGKILL
    with bench.serve("-num_worker", "2", "-max_batch_size", "16") as server:
        clients = [Raw(server, b"stop-%d" % client) for client in range(4)]
        for client in clients:
            client.ask([bench.texts[0]])
        for request, numbers in enumerate(asked):
            clients[request % 4].send(bench.chosen(numbers), request)
        until(lambda: server.queue("waiting_requests") > 0, 10)
        workers = server.workers()
        waiting = server.queue("waiting_requests")
        began = time.monotonic()
        status = server.end(number)
        seconds = time.monotonic() - began
        patience = 0.5 if killed else 5.0
        for request in range(requests):
            try:
                name, answer = clients[request % 4].receive(patience)
            except TimeoutError:
                silent, patience = silent + 1, 0.01
                continue
            if isinstance(answer, dict):
                refused += answer.get("code") == "shutting_down"
            elif bench.right(answer, asked[name]):
                right += 1
            else:
                wrong += 1
        gone = until(lambda: not any(map(alive, workers)), 5)
        ports = until(lambda: all(map(is_free, server.ports)), 5)
        left = sorted(path.name for path in server.folder.iterdir())
        for client in clients:
            client.close()
    good = not wrong and gone and ports and not left and (killed or (status == 0 and right == requests))
    found = (
        f"{waiting} in flight: {right} right, {wrong} wrong, {refused} told shutting_down, {silent} silent; "
        f"exit {status} in {seconds:.1f} s, orphans {'none' if gone else 'LEFT'}, ports {'free' if ports else 'BUSY'}, "
        f"files left {left}"
    )
    return Outcome(f"{number.name} with requests in flight, 2 workers", found, good)


LOG_LINES = ("I:", "W:", "E0000 ", "W0000 ", "I0000 ", "WARNING: All log messages before absl")
"""Ours, and what TensorFlow says of an absent GPU."""


@row("start", "faults at the start: one line, non-zero exit, within 5 s")
def start(bench: Bench) -> Outcome:
    with working_folder() as folder:
        model = ["-model_dir", str(bench.model_dir)]
        failed, slowest = [], 0.0
        with socket.create_server(("127.0.0.1", 0)) as taken, open("/dev/full", "w") as full:
            cases = _wrong_starts(bench, folder, model, str(taken.getsockname()[1]))
            for name, flags in cases.items():
                for flag, port in zip(("-port", "-port_out"), free_ports(), strict=True):
                    flags += [] if flag in flags else [flag, str(port)]
                fault, seconds = _fault_of(["bert-serving-start", *flags], folder, 5)
                slowest = max(slowest, seconds)
                failed += [f"{name}: {fault}"] if fault else []
            fault, _ = _fault_of(["bert-serving-start", *model], folder, 60, stdout=full)
            failed += [f"standard output on a full disk: {fault}"] if fault else []
        new = ["bert-ft", "new-checkpoint", "full", f"--vocab_file={bench.model_dir / 'vocab.txt'}"]
        fault, _ = _fault_of(new, folder, 60, preexec_fn=_limit_files)
        left = sorted(path.name for path in folder.iterdir() if "full" in path.name)
        failed += [f"a checkpoint on a full disk: {fault}, left {left}"] if fault or left else []
    total = len(cases) + 2
    found = "; ".join([f"{total - len(failed)} of {total}, slowest start {slowest:.1f} s", *failed])
    return Outcome(f"{total} faults", found, not failed)


def _wrong_starts(bench: Bench, folder: Path, model: list[str], busy: str) -> dict[str, list[str]]:
    cases = {
        "port busy": [*model, "-port", busy],
        "port_out busy": [*model, "-port_out", busy],
        "http_port busy": [*model, "-http_port", busy],
        "one port for both": [*model, "-port", "7777", "-port_out", "7777"],
        "no such directory": ["-model_dir", str(folder / "nothing")],
        "a file as directory": ["-model_dir", str(bench.model_dir / "vocab.txt")],
        "max_seq_len above the model's": [*model, "-max_seq_len", "100000"],
        "pooling layer out of range": [*model, "-pooling_layer", "-3"],
        "unknown flag": [*model, "-num_wroker", "2"],
        "no model_dir": [],
        "address of another machine": [*model, "-host", "192.0.2.1"],
    }
    for name, (file, damage) in _DAMAGES.items():
        copy = folder / name.replace(" ", "_")
        shutil.copytree(bench.model_dir, copy)
        damage(copy / file)
        cases[name] = ["-model_dir", str(copy)]
    return cases


def _fault_of(command: list[str], folder: Path, limit: float, **options: Any) -> tuple[str, float]:
    """What is wrong with a start that should be refused in one line within so many seconds; and its seconds."""
    began = time.monotonic()
    options = {"stdout": subprocess.PIPE, **options}
    try:
        done = subprocess.run(
            [program(command[0]), *command[1:]], cwd=folder, stderr=subprocess.PIPE, text=True, timeout=60, **options
        )
    except subprocess.TimeoutExpired:
        return "no end", time.monotonic() - began
    seconds = time.monotonic() - began
    lines = [line for line in done.stderr.splitlines() if not line.startswith(LOG_LINES)]
    good = done.returncode and len(lines) == 1 and "Traceback" not in (done.stdout or "") and seconds <= limit
    return "" if good else f"exit {done.returncode} after {seconds:.1f} s, {lines[:4]}", seconds


def _limit_files() -> None:
    """RLIMIT_FSIZE stands for the end of the disk: 100 kB of a checkpoint can be written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


_INDEX, _DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"
_DAMAGES = {
    "no vocabulary": ("vocab.txt", Path.unlink),
    "empty vocabulary": ("vocab.txt", lambda path: path.write_text("")),
    "vocabulary of bytes": ("vocab.txt", fill_with_noise),
    "no configuration": ("bert_config.json", Path.unlink),
    "half a configuration": ("bert_config.json", halve),
    "no index": (_INDEX, Path.unlink),
    "half an index": (_INDEX, halve),
    "index of noise": (_INDEX, fill_with_noise),
    "no data file": (_DATA, Path.unlink),
    "half a data file": (_DATA, halve),
    "data file of noise": (_DATA, fill_with_noise),
    "half a bert_ft.json": ("bert_ft.json", halve),
}


@row("restart", "server restarted while clients wait")
def restart(bench: Bench) -> Outcome:
    rounds = bench.size(4, 2)
    asked_again = []
    server = bench.serve()
    try:
        with bench.old(server) as ask, Load(bench, server, 8, 0.01) as load:
            for number in range(rounds):
                time.sleep(2)
                server.end((signal.SIGKILL, signal.SIGTERM)[number % 2])
                time.sleep(1)
                server.__exit__()
                server = bench.serve(ports=server.ports)
                asked_again.append("shape" in ask(texts=bench.texts[:1], timeout=20_000))
            time.sleep(1)
    finally:
        server.__exit__()
    found = f"new: {load}; old client answered {sum(asked_again)} of {rounds} times when it asked again"
    good = load.good and all(asked_again)
    return Outcome(f"{rounds} restarts (SIGKILL, SIGTERM in turn) under 8 new clients", found, good)


def _ended_under_load(bench: Bench, **options: Any) -> tuple[Server, int, float, list[tuple[Exception, float]]]:
    """Two SIGTERM while 8 clients wait: the server, its status, when it ended; each client's error, and when."""
    ended: list[tuple[Exception, float]] = []
    with bench.serve(*faulty(batch_seconds=0.01)) as server:

        def ask() -> None:
            with server.client(**options) as client:
                try:
                    while True:
                        client.encode(bench.texts[:64])
                except Exception as error:
                    ended.append((error, time.monotonic()))

        threads = in_threads(*[ask] * 8)
        time.sleep(3)
        server.process.send_signal(signal.SIGTERM)
        status = server.end(signal.SIGTERM)
        stopped = time.monotonic()
        join(threads, 90)
    return server, status, stopped, ended


@row("drain", "a second signal, and TERMINATION, while clients wait")
def second_signal(bench: Bench) -> Outcome:
    _, status, _, ended = _ended_under_load(bench, retry=False)
    told = sum(isinstance(error, ServerShuttingDownError) for error, _ in ended)
    found = f"exit {status}, {told} of 8 told shutting_down"
    return Outcome("two SIGTERM with 8 clients waiting (retry=False)", found, status == 0 and told == 8)


@row("gone", "SIGTERM, and no server in its place")
def gone(bench: Bench) -> Outcome:
    server, status, stopped, ended = _ended_under_load(bench)
    line = (
        f"{ServerShuttingDownError.__name__}: the server at localhost:{server.port} has shut down and none has taken "
    )
    told = [moment - stopped for error, moment in ended if described(error).startswith(line)]
    others = [described(error) for error, _ in ended if not described(error).startswith(line)]
    slowest = max(told, default=float("nan"))
    found = f"exit {status}; {len(told)} of 8 told that it is gone, the last after {slowest:.1f} s {others[:1] or ''}"
    good = len(told) == 8 and not status and slowest < 15
    return Outcome("two SIGTERM with 8 clients waiting, nothing follows", found, good)
