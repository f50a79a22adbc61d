"""Rows about the commands' start, and about two clients of one identity.

The commands start anew, by the functions that their installed scripts call.
"""

from __future__ import annotations

import collections
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

from bert_serving.client import BadReplyError
from common import Server, free_ports

from .bench import Bench, Outcome, row, working_folder
from .server import in_threads, join

MODULES = ("bert_ft.run_classifier", "bert_ft.run_ner", "bert_ft.commands.main")
FIRST_LINE = "    from bert_ft.startup import begin\n"
LATEST_MS = 400


def command(name: str, *arguments: str) -> list[str]:
    """A command's program; nothing is imported before its own first line."""
    if name in MODULES:
        return [sys.executable, "-m", name, *arguments]
    (entry,) = entry_points(group="console_scripts", name=name)
    return [sys.executable, "-c", f"from {entry.module} import {entry.attr} as run\nrun()", *arguments]


@row("identity", "two live clients with one identity")
def identity(bench: Bench) -> Outcome:
    rounds = bench.size(300, 60)
    counts: collections.Counter[str] = collections.Counter()
    both = threading.Barrier(2)
    with bench.serve() as server:

        def ask(sizes: range) -> None:
            with server.client(identity="same") as client:
                both.wait(60)
                for number in range(rounds):
                    numbers = list(range(sizes[number % len(sizes)]))
                    try:
                        counts["right" if bench.ask(client, numbers) else "wrong"] += 1
                    except BadReplyError as error:
                        counts["said so" if "uses the same identity" in str(error) else "unclear"] += 1

        join(in_threads(lambda: ask(range(1, 9, 2)), lambda: ask(range(2, 9, 2))), 240)
    good = set(counts) == {"right", "said so"} and sum(counts.values()) == 2 * rounds
    return Outcome(f"2 clients, one identity, {rounds} requests each, sizes odd and even", str(dict(counts)), good)


@row("closed", "standard input, output and error closed at the start")
def closed(bench: Bench) -> Outcome:
    with working_folder() as folder:
        data = _data(folder, bench.model_dir)
        cases = {
            "bert-ft inspect": command("bert-ft", "inspect", "--machine", str(bench.model_dir)),
            "bert-ft-train": [*command("bert-ft-train"), *data, "--output_dir=out"],
            "run_classifier": [*command("bert_ft.run_classifier"), *data, "--output_dir=out"],
            "keygen": command("bert-serving-keygen", "keys"),
        }
        failed = []
        ways = ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-")
        for way in ways:
            for name, given in cases.items():
                done = subprocess.run(["sh", "-c", f'exec "$@" {way}', "sh", *given], cwd=folder, capture_output=True)
                if done.returncode or b"Traceback" in done.stderr:
                    failed.append(f"{name} {way}: exit {done.returncode}")
                for path in folder.glob("keys*"):
                    path.unlink()
                shutil.rmtree(folder / "out", ignore_errors=True)
            failed += _server_without(way, bench)
    total = len(ways) * (len(cases) + 1)
    return Outcome(f"{total} starts", f"{total - len(failed)} of {total} did their work {failed or ''}", not failed)


def _server_without(way: str, bench: Bench) -> list[str]:
    quietly = f'exec "$@" </dev/null >/dev/null 2>/dev/null {way}'
    start = ["sh", "-c", quietly, "sh", *command("bert-serving-start")]
    with Server(["-model_dir", str(bench.model_dir)], start, patience=0) as server:
        with server.client(ignore_all_checks=True) as client:
            right = bench.ask(client, [0, 1, 2])
        ends = [os.readlink(f"/proc/{server.process.pid}/fd/{number}") for number in range(3)]
        status = server.end()
    good = right and not status and ends == [os.devnull] * 3
    return [] if good else [f"bert-serving-start {way}: right {right}, exit {status}, descriptors {ends}"]


@row("ctrl-c", "SIGINT in the first 0.4 s of every command")
def interrupted(bench: Bench) -> Outcome:
    with working_folder() as folder:
        data = _data(folder, bench.model_dir)
        port, port_out = map(str, free_ports())
        given = {
            "bert-ft": ["inspect", str(bench.model_dir)],
            "bert-ft-train": [*data, "--output_dir=out"],
            "bert-serving-start": ["-model_dir", str(bench.model_dir), "-port", port, "-port_out", port_out],
            "bert-serving-terminate": ["-port", port, "-timeout", "2000"],
            "bert-serving-benchmark": ["-model_dir", str(bench.model_dir)],
            "bert-serving-keygen": ["key"],
            "bert_ft.run_classifier": [*data, "--output_dir=out"],
            "bert_ft.run_ner": ["--data_dir=nothing", "--output_dir=out"],
        }
        outcomes: collections.Counter[str] = collections.Counter()
        failed = []
        for name, arguments in given.items():
            for milliseconds in range(10, LATEST_MS + 1, bench.size(10, 50)):
                what = _interrupt(command(name, *arguments), milliseconds / 1000, folder)
                outcomes[what.partition(":")[0]] += 1
                if what.startswith("bad"):
                    failed.append(f"{name} after {milliseconds} ms: {what}")
                for path in folder.glob("key.*"):
                    path.unlink()
    counts = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
    sent = f"{sum(outcomes.values())} times SIGINT, {len(given)} commands"
    return Outcome(sent, "; ".join([counts, *failed]), not failed)


def _interrupt(given: list[str], seconds: float, folder: Path) -> str:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(given, cwd=folder, text=True, errors="replace", **pipes) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"bad: still there after a minute, {process.communicate()[1].strip()[-150:]!r}"
    if "Traceback" not in errors and process.returncode == 130 and errors.endswith("error: interrupted\n"):
        return "one line and 130"
    if _before_our_first_line(errors, process.returncode):
        return "in Python's own start"
    if "Traceback" not in errors and process.returncode in (0, 1):
        return "over, or served and stopped"
    return f"bad: exit {process.returncode}, {errors.strip()[-150:]!r}"


def _before_our_first_line(errors: str, status: int) -> bool:
    """Killed before Python takes the signal, or a traceback of what runs before the line that sees to it is there."""
    places = [line for line in errors.splitlines() if line.startswith('  File "')]
    ours = [line for line in places if "/bert_ft/" in line or "/bert_serving" in line]
    traced = "Traceback" in errors or "import site" in errors
    return (traced and (not ours or FIRST_LINE in errors)) or (status == -signal.SIGINT and not errors)


@row("locale", "Chinese names where the locale is not UTF-8")
def odd_locale(bench: Bench) -> Outcome:
    failed: list[str] = []
    worked: list[str] = []
    lines = 0
    for encoding in (None, "gbk", "latin-1", "ascii"):
        with working_folder() as folder:
            shutil.copytree(bench.model_dir, folder / "模型")
            data = _data(folder, Path("模型"), "数据")
            (folder / "文本.txt").write_text("今天真开心\n", encoding="utf-8")
            environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
            environment |= {"PYTHONIOENCODING": encoding} if encoding else {}
            vocab = f"--vocab_file={bench.model_dir / 'vocab.txt'}"
            in_ascii = [*_data(folder, bench.model_dir), "--output_dir=out"]
            cases = {
                "new-checkpoint": command("bert-ft", "new-checkpoint", "新", vocab),
                "inspect": command("bert-ft", "inspect", "模型"),
                "train": [*command("bert-ft-train"), *data, "--output_dir=输出"],
                "train on Chinese labels": [*command("bert-ft-train"), *in_ascii],
                "predict": command("bert-ft", "predict", "--model_dir=out", "--input=文本.txt", "--output=预测.jsonl"),
            }
            for name, given in cases.items():
                done = subprocess.run(given, cwd=folder, env=environment, capture_output=True, timeout=120)
                errors = [line for line in done.stderr.splitlines() if line.startswith(b"error: ")]
                if b"Traceback" in done.stderr + done.stdout or (done.returncode and len(errors) != 1):
                    failed.append(f"{encoding} {name}: exit {done.returncode}, {done.stderr[-200:]!r}")
                worked += [] if done.returncode else [name]
                lines += bool(done.returncode)
    found = f"{dict(collections.Counter(worked))} worked, {lines} ended with one clear line {failed or ''}"
    return Outcome("5 commands, 4 encodings of their output", found, not failed)


def _data(folder: Path, model: Path, name: str = "data") -> list[str]:
    """Flags of a training of one step, and its data."""
    (folder / name).mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        (folder / name / f"{split}.tsv").write_text("开心\t今天真开心\n难过\t太难过了\n" * 4, encoding="utf-8")
    parts = [f"--init_checkpoint={model}/bert_model.ckpt", f"--vocab_file={model}/vocab.txt"]
    parts += [f"--bert_config_file={model}/bert_config.json", f"--data_dir={name}"]
    return ["--task_name=tsv", *parts, "--train_batch_size=8", "--num_train_epochs=1"]
