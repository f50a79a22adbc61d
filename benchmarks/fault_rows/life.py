"""Rows about start, stop and restart."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bert_serving.benchmark.processes import alive
from bert_serving.client import BertClient, ServerShuttingDownError

from .bench import FAULTY, Bench, Load, Outcome, Raw, free_ports, is_free, row, until


def _stopped(bench: Bench, number: signal.Signals) -> Outcome:
    right, wrong, refused, silent = 0, 0, 0, 0
    requests = bench.size(400, 100)
    rng_numbers = [[(7 * request + one) % len(bench.texts) for one in range(16)] for request in range(requests)]
    server = bench.serve("-num_worker", "2", "-max_batch_size", "16")
    with server:
        clients = [Raw(server, b"stop-%d" % client) for client in range(4)]
        for client in clients:
            client.send([bench.texts[0]], 10**6)
            client.receive()
        for request, numbers in enumerate(rng_numbers):
            clients[request % 4].send([bench.texts[one] for one in numbers], request)
        until(lambda: server.status()["queue"]["waiting_requests"] > 0, 10)
        workers = server.workers()
        waiting = server.status()["queue"]["waiting_requests"]
        began = time.monotonic()
        status = server.end(number)
        seconds = time.monotonic() - began
        patience = 0.5 if number == signal.SIGKILL else 5.0
        for request in range(requests):
            try:
                name, answer = clients[request % 4].receive(patience)
            except TimeoutError:
                silent, patience = silent + 1, 0.01
                continue
            if isinstance(answer, dict):
                refused += answer.get("code") == "shutting_down"
            elif bench.right(answer, rng_numbers[name]):
                right += 1
            else:
                wrong += 1
        gone = until(lambda: not any(map(alive, workers)), 5)
        ports = until(lambda: is_free(server.port) and is_free(server.port_out), 5)
        left = sorted(path.name for path in server.folder.iterdir())
        for client in clients:
            client.close()
    killed = number == signal.SIGKILL
    good = not wrong and gone and ports and not left and (killed or (status == 0 and right + refused == requests))
    good = good and (killed or right == requests)
    found = (
        f"{waiting} in flight: {right} right, {wrong} wrong, {refused} told shutting_down, {silent} silent; "
        f"exit {status} in {seconds:.1f} s, orphans {'none' if gone else 'LEFT'}, ports {'free' if ports else 'BUSY'}, "
        f"files left {left}"
    )
    return Outcome(f"{number.name} with requests in flight, 2 workers", found, good)


@row("sigterm", "SIGTERM with requests in flight")
def sigterm(bench: Bench) -> Outcome:
    return _stopped(bench, signal.SIGTERM)


@row("sigint", "SIGINT with requests in flight")
def sigint(bench: Bench) -> Outcome:
    return _stopped(bench, signal.SIGINT)


@row("sigkill", "SIGKILL of the parent")
def sigkill(bench: Bench) -> Outcome:
    return _stopped(bench, signal.SIGKILL)


LOG_LINES = ("I:", "W:", "E0000 ", "W0000 ", "I0000 ", "WARNING: All log messages before absl")
"""Ours, and what TensorFlow says of an absent GPU."""


@row("start", "faults at the start: one line, non-zero exit, within 5 s")
def start(bench: Bench) -> Outcome:
    program = Path(sys.executable).with_name("bert-serving-start")
    folder = Path(tempfile.mkdtemp(prefix="faults-start-"))
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    busy = str(taken.getsockname()[1])
    model = ["-model_dir", str(bench.model_dir)]
    cases: dict[str, list[str]] = {
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
    for name, damage in _DAMAGES.items():
        copy = folder / name.replace(" ", "_")
        shutil.copytree(bench.model_dir, copy)
        damage(copy)
        cases[name] = ["-model_dir", str(copy)]
    failed, slowest = [], 0.0
    for name, flags in cases.items():
        port, port_out = free_ports()
        ports = [*([] if "-port" in flags else ["-port", str(port)])]
        ports += [] if "-port_out" in flags else ["-port_out", str(port_out)]
        began = time.monotonic()
        try:
            done = subprocess.run(
                [str(program), *flags, *ports], cwd=folder, capture_output=True, text=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            failed.append(f"{name}: no end")
            continue
        seconds = time.monotonic() - began
        slowest = max(slowest, seconds)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(LOG_LINES)]
        if done.returncode == 0 or len(lines) != 1 or "Traceback" in done.stdout or seconds > 5:
            failed.append(f"{name}: exit {done.returncode} after {seconds:.1f} s, {lines[:4]}")
    with open("/dev/full", "w") as full:
        began = time.monotonic()
        done = subprocess.run(
            [str(program), *model], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
        lines = done.stderr.splitlines()
        if done.returncode == 0 or len(lines) != 1:
            failed.append(f"standard output on a full disk: exit {done.returncode}, {lines[:4]}")
    failed += _written_to_a_full_disk(bench, folder)
    taken.close()
    shutil.rmtree(folder)
    found = f"{len(cases) + 2 - len(failed)} of {len(cases) + 2}, slowest start {slowest:.1f} s" + "".join(
        f"; {one}" for one in failed
    )
    return Outcome(f"{len(cases) + 2} faults", found, not failed)


def _written_to_a_full_disk(bench: Bench, folder: Path) -> list[str]:
    """A checkpoint of which 100 kB can be written: RLIMIT_FSIZE stands for the end of the disk."""
    program = Path(sys.executable).with_name("bert-ft")
    target = folder / "full"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [str(program), "new-checkpoint", str(target), f"--vocab_file={bench.model_dir / 'vocab.txt'}"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if not line.startswith(LOG_LINES)]
    left = sorted(path.name for path in folder.iterdir() if "full" in path.name)
    if done.returncode == 0 or len(lines) != 1 or left:
        return [f"a checkpoint on a full disk: exit {done.returncode}, {lines[:4]}, left {left}"]
    return []


def _halve(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


_DAMAGES = {
    "no vocabulary": lambda folder: (folder / "vocab.txt").unlink(),
    "empty vocabulary": lambda folder: (folder / "vocab.txt").write_text(""),
    "vocabulary of bytes": lambda folder: _garbage(folder / "vocab.txt"),
    "no configuration": lambda folder: (folder / "bert_config.json").unlink(),
    "half a configuration": lambda folder: _halve(folder / "bert_config.json"),
    "no index": lambda folder: (folder / "bert_model.ckpt.index").unlink(),
    "half an index": lambda folder: _halve(folder / "bert_model.ckpt.index"),
    "index of noise": lambda folder: _garbage(folder / "bert_model.ckpt.index"),
    "no data file": lambda folder: (folder / "bert_model.ckpt.data-00000-of-00001").unlink(),
    "half a data file": lambda folder: _halve(folder / "bert_model.ckpt.data-00000-of-00001"),
    "data file of noise": lambda folder: _garbage(folder / "bert_model.ckpt.data-00000-of-00001"),
    "half a bert_ft.json": lambda folder: _halve(folder / "bert_ft.json"),
}


@row("restart", "server restarted while clients wait")
def restart(bench: Bench) -> Outcome:
    rounds = bench.size(4, 2)
    script = Path(__file__).with_name("old_client.py")
    server = bench.serve()
    old = subprocess.Popen(
        [sys.executable, str(script), str(bench.old_client), str(server.port), str(server.port_out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(bench.old_client)},
    )  # fmt: skip
    assert old.stdin
    assert old.stdout
    asked_again = []
    try:
        load = Load(bench, server, 8, 0.01)
        with load:
            for number in range(rounds):
                time.sleep(2)
                how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
                server.end(how)
                time.sleep(1)
                server.__exit__()
                server = bench.serve(ports=(server.port, server.port_out), wait=False)
                server.wait()
                old.stdin.write('{"texts": ["' + bench.texts[0] + '"], "timeout": 20000}\n')
                old.stdin.flush()
                asked_again.append('"shape"' in old.stdout.readline())
            time.sleep(1)
    finally:
        old.stdin.close()
        old.wait(30)
        server.__exit__()
    found = f"new: {load}; old client answered {sum(asked_again)} of {rounds} times when it asked again"
    return Outcome(
        f"{rounds} restarts (SIGKILL, SIGTERM in turn) under 8 new clients", found, load.good and all(asked_again)
    )


@row("drain", "a second signal, and TERMINATION, while clients wait")
def second_signal(bench: Bench) -> Outcome:
    codes: list[str] = []
    with bench.serve("-engine", FAULTY, "-engine_option", "batch_seconds=0.01") as server:

        def ask() -> None:
            with BertClient(timeout=60_000, retry=False, **server.ports) as client:
                try:
                    while True:
                        client.encode(bench.texts[:64])
                except ServerShuttingDownError as error:
                    codes.append(error.code)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        server.process.send_signal(signal.SIGTERM)
        status = server.end(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
    good = status == 0 and len(codes) == 8
    return Outcome(
        "two SIGTERM with 8 clients waiting (retry=False)", f"exit {status}, {len(codes)} of 8 told shutting_down", good
    )
