"""Rows about the model under a running server: replaced by another, on purpose or not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

from common import program

from bert_ft.checkpoint.fingerprint import ModelPlace, fingerprint
from bert_ft.files.replace import replaced_directory

from .bench import Bench, Outcome, close, described, encoder, new_checkpoint, row, working_folder
from .server import Raw, Server, meanwhile, until

TEXTS = 16


class _Models:
    """Two models of one shape, the first of which lies where the server looks; and their right vectors."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.served, self.other = folder / "served", folder / "other"
        for path, seed in ((self.served, 1), (self.other, 2)):
            new_checkpoint(path, bench.model_dir / "vocab.txt", f"--seed={seed}")
        shutil.copytree(self.served, folder / "first")
        self.sources = [folder / "first", self.other]
        self.texts = bench.texts[:TEXTS]
        self.vectors = {fingerprint(ModelPlace(str(path))): encoder(path).encode(self.texts) for path in self.sources}

    def ask(self, client: Raw, number: int, model: str | None = None) -> tuple[str, bool]:
        """The fingerprint that the reply's header names, and whether the vectors are this or that model's."""
        answer = client.ask(self.texts, number, 120)
        if isinstance(answer, dict):
            raise RuntimeError(answer)
        named = client.header["model"]
        return named, close(answer, self.vectors[model or named])

    def write_over(self, number: int) -> None:
        """As ``cp`` does."""
        for path in self.sources[number].iterdir():
            shutil.copyfile(path, self.served / path.name)

    def replace(self, number: int) -> None:
        """As a training does."""
        with replaced_directory(self.served, "bert_ft.json") as staging:
            for path in self.sources[number].iterdir():
                shutil.copyfile(path, staging / path.name)


@row("written-over", "another model is copied over the one that is served, and a worker dies", how="write_over", left=1)
@row("replaced", "a training replaces the model that is served, and a worker dies", how="replace", left=2)
def replaced(bench: Bench, how: str, left: int) -> Outcome:
    wrong, answers, named = 0, 0, set()
    with working_folder() as folder:
        models = _Models(bench, folder)
        first = fingerprint(ModelPlace(str(models.served)))
        with bench.serve("-num_worker", "2", model_dir=models.served) as server:
            client = Raw(server, b"asker")
            getattr(models, how)(1)
            os.kill(server.workers()[0], signal.SIGKILL)
            settled = until(lambda: _idle(server) == left and "is lost" in server.log, 60)
            for number in range(40):
                model, right = models.ask(client, number, first)
                answers += 1
                named.add(model)
                wrong += not right
            lines = server.log.count("were written over with another model's")
            client.close()
            status = server.end()
    found = f"{answers} answers, {wrong} of the other model, {left} workers left, {lines} lines say so; exit {status}"
    good = settled and not wrong and named == {first} and answers == 40 and status == 0 and lines == (left == 1)
    return Outcome(f"{how} of a model of the same shape under 2 workers, one killed, 40 equal requests", found, good)


def _idle(server: Server) -> int:
    return [one["state"] for one in server.status()["workers"]].count("idle")


@row("reload", "bert-serving-reload under load, over and over")
def reload(bench: Bench) -> Outcome:
    rounds = bench.size(20, 5)
    answers, wrong, failures = 0, 0, []
    lock = threading.Lock()
    with working_folder() as folder:
        models = _Models(bench, folder)
        with bench.serve("-num_worker", "2", model_dir=models.served) as server:
            named: set[str] = set()

            def ask(name: int, over: threading.Event) -> None:
                nonlocal answers, wrong
                client, number = Raw(server, b"asker-%d" % name), 0
                try:
                    while not over.is_set():
                        number += 1
                        model, right = models.ask(client, number)
                        with lock:
                            answers += 1
                            wrong += not right
                            named.add(model)
                except Exception as error:
                    failures.append(described(error))
                client.close()

            memory, reloaded, seconds = [], 0, []
            with meanwhile(*(partial(ask, name) for name in range(4))):
                for number in range(rounds):
                    (models.replace if number % 4 < 2 else models.write_over)((number + 1) % 2)
                    began = time.monotonic()
                    done = subprocess.run(
                        [program("bert-serving-reload"), "-port", str(server.port), "-port_out", str(server.port_out)],
                        capture_output=True, text=True,
                    )  # fmt: skip
                    seconds.append(time.monotonic() - began)
                    reloaded += "now, not" in done.stdout
                    failures += [done.stderr] if done.returncode else []
                    until(lambda: server.queue("models") == 1 and len(server.workers()) == 2, 30)
                    memory.append(server.usage())
    first, last = memory[0], memory[-1]
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
    with working_folder() as folder:
        models = _Models(bench, folder)
        shutil.rmtree(models.other)
        new_checkpoint(models.other, bench.model_dir / "vocab.txt", "--hidden_size=64")
        first = fingerprint(ModelPlace(str(models.served)))
        with bench.serve("-num_worker", "2", model_dir=models.served) as server:
            client = Raw(server, b"asker")
            models.write_over(1)
            os.kill(server.workers()[0], signal.SIGKILL)
            until(lambda: _idle(server) == 1, 60)
            right = sum(models.ask(client, number, first)[1] for number in range(20))
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
