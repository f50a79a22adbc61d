"""Rows about the model under a running server: replaced by another, on purpose or not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bert_ft.checkpoint.fingerprint import ModelPlace, fingerprint
from bert_ft.files.replace import replaced_directory

from .bench import Bench, Outcome, Raw, Server, close, row, until
from .oracle import Oracle

TEXTS = 16


class _Models:
    """Two models of one shape, the first of which lies where the server looks; and their right vectors."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.served, self.other = folder / "served", folder / "other"
        program = str(Path(sys.executable).with_name("bert-ft"))
        vocabulary = f"--vocab_file={bench.model_dir / 'vocab.txt'}"
        for path, seed in ((self.served, 1), (self.other, 2)):
            subprocess.run([program, "new-checkpoint", str(path), vocabulary, f"--seed={seed}"], check=True)
        shutil.copytree(self.served, folder / "first")
        self.sources = [folder / "first", self.other]
        self.texts = bench.texts[:TEXTS]
        self.vectors = {fingerprint(ModelPlace(str(path))): Oracle(path)(self.texts) for path in self.sources}

    def write_over(self, number: int) -> None:
        """As ``cp`` does."""
        for path in self.sources[number].iterdir():
            shutil.copyfile(path, self.served / path.name)

    def replace(self, number: int) -> None:
        """As a training does."""
        with replaced_directory(self.served, "bert_ft.json") as staging:
            for path in self.sources[number].iterdir():
                shutil.copyfile(path, staging / path.name)


def _ask(client: Raw, texts: list[str], number: int) -> tuple[str, np.ndarray]:
    """The fingerprint that the reply's header names, and the vectors."""
    client.send(texts, number)
    if not client.sub.poll(120_000):
        raise TimeoutError("no reply")
    frames = client.sub.recv_multipart()
    header = json.loads(frames[1])
    if "error" in header:
        raise RuntimeError(header["error"])
    return header["model"], np.frombuffer(frames[2], header["dtype"]).reshape(header["shape"])


def _replaced(bench: Bench, how: str, left: int) -> Outcome:
    wrong, answers, named = 0, 0, set()
    with tempfile.TemporaryDirectory(prefix="faults-models-") as folder:
        models = _Models(bench, Path(folder))
        first = fingerprint(ModelPlace(str(models.served)))
        with Server(["-model_dir", str(models.served), "-num_worker", "2"]) as server:
            client = Raw(server, b"asker")
            getattr(models, how)(1)
            os.kill(server.workers()[0], signal.SIGKILL)
            settled = until(lambda: _idle(server) == left and "is lost" in server.log, 60)
            for number in range(40):
                model, vectors = _ask(client, models.texts, number)
                answers += 1
                named.add(model)
                wrong += not close(vectors, models.vectors[first])
            lines = server.log.count("were written over with another model's")
            client.close()
            status = server.end()
    found = f"{answers} answers, {wrong} of the other model, {left} workers left, {lines} lines say so; exit {status}"
    good = settled and not wrong and named == {first} and answers == 40 and status == 0 and lines == (left == 1)
    return Outcome(f"{how} of a model of the same shape under 2 workers, one killed, 40 equal requests", found, good)


def _idle(server: Server) -> int:
    return [one["state"] for one in server.status()["workers"]].count("idle")


@row("replaced", "a training replaces the model that is served, and a worker dies")
def replaced(bench: Bench) -> Outcome:
    return _replaced(bench, "replace", 2)


@row("written-over", "another model is copied over the one that is served, and a worker dies")
def written_over(bench: Bench) -> Outcome:
    return _replaced(bench, "write_over", 1)


@row("reload", "bert-serving-reload under load, over and over")
def reload(bench: Bench) -> Outcome:
    rounds = bench.size(20, 5)
    answers, wrong, failures = 0, 0, []
    lock, over = threading.Lock(), threading.Event()
    code = "from bert_serving_scripts import reload; reload()"
    with tempfile.TemporaryDirectory(prefix="faults-models-") as folder:
        models = _Models(bench, Path(folder))
        with Server(["-model_dir", str(models.served), "-num_worker", "2"]) as server:
            named: set[str] = set()

            def ask(name: int) -> None:
                nonlocal answers, wrong
                client, number = Raw(server, b"asker-%d" % name), 0
                try:
                    while not over.is_set():
                        number += 1
                        model, vectors = _ask(client, models.texts, number)
                        with lock:
                            answers += 1
                            wrong += not close(vectors, models.vectors[model])
                            named.add(model)
                except Exception as error:
                    failures.append(f"{type(error).__name__}: {error}")
                client.close()

            threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in range(4)]
            for thread in threads:
                thread.start()
            memory, reloaded, seconds = [server.usage()], 0, []
            for number in range(rounds):
                (models.replace if number % 4 < 2 else models.write_over)((number + 1) % 2)
                began = time.monotonic()
                done = subprocess.run(
                    [sys.executable, "-c", code, "-port", str(server.port), "-port_out", str(server.port_out)],
                    capture_output=True, text=True,
                )  # fmt: skip
                seconds.append(time.monotonic() - began)
                reloaded += "now, not" in done.stdout
                failures += [done.stderr] if done.returncode else []
                until(lambda: server.status()["queue"]["models"] == 1 and len(server.workers()) == 2, 30)
                memory.append(server.usage())
            over.set()
            for thread in threads:
                thread.join(120)
    first, last = memory[1], memory[-1]
    found = (
        f"{reloaded} of {rounds} reloaded, longest {max(seconds):.1f} s; {answers} answers, {wrong} wrong, "
        f"{len(failures)} failed {failures[:1]}, {len(named)} models named; memory {first[0]:.0f} → {last[0]:.0f} MB, "
        f"descriptors {first[1]} → {last[1]}"
    )
    good = reloaded == rounds and not wrong and not failures and len(named) == 2
    good = good and last[0] < 1.1 * first[0] and last[1] <= first[1] + 2
    return Outcome(f"{rounds} reloads of 2 models in turn under 4 clients, 2 workers", found, good)


@row("other-size", "a model of another hidden size in the place of the one served")
def other_size(bench: Bench) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="faults-models-") as folder:
        models = _Models(bench, Path(folder))
        shutil.rmtree(models.other)
        program = str(Path(sys.executable).with_name("bert-ft"))
        vocabulary = f"--vocab_file={bench.model_dir / 'vocab.txt'}"
        subprocess.run([program, "new-checkpoint", str(models.other), vocabulary, "--hidden_size=64"], check=True)
        first = fingerprint(ModelPlace(str(models.served)))
        with Server(["-model_dir", str(models.served), "-num_worker", "2"]) as server:
            client = Raw(server, b"asker")
            models.write_over(1)
            os.kill(server.workers()[0], signal.SIGKILL)
            until(lambda: _idle(server) == 1, 60)
            right = sum(close(_ask(client, models.texts, number)[1], models.vectors[first]) for number in range(20))
            os.kill(server.workers()[0], signal.SIGKILL)
            client.send(models.texts, 99)
            number, error = client.receive(60)
            client.close()
            status = server.process.wait(60)
            last = server.log.splitlines()[-1]
            told = isinstance(error, dict) and error["code"] == "server_failed" and number == 99
    found = (
        f"{right} of 20 right by the worker left; it killed: waiting client told {told}, exit {status}: {last[:160]}"
    )
    good = right == 20 and told and status == 1 and last.startswith("error: ")
    return Outcome("hidden size 128 written over with 64, one worker killed, then the other", found, good)
