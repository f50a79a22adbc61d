"""Rows about training: models that would be lost, labels by the ten thousands, numbers and states that are no use."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import program

from .bench import Bench, Outcome, fill_with_noise, halve, row, working_folder
from .server import until

MAX_MEMORY_MB = 4000
"""For 50,000 labels: with their confusion matrix 20,000."""
LONG = "12345678901234567890"


@dataclass
class _Done:
    status: int
    errors: list[str]
    memory_mb: float
    seconds: float

    def refused(self, status: int, *told: str) -> bool:
        """One line that says all of this, and no traceback."""
        lines = [line for line in self.errors if line.startswith(("error:", "Traceback"))]
        return self.status == status and len(lines) == 1 and all(one in lines[0] for one in told)

    @property
    def last(self) -> str:
        return f"exit {self.status}, {self.errors[-1:]}"[:200]


def _run(folder: Path, name: str, *arguments: str) -> _Done:
    began = time.monotonic()
    with (folder / "stderr").open("w+") as errors:
        process = subprocess.Popen([program(name), *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = errors.read().replace("\r", "\n").splitlines()
    return _Done(process.returncode, lines, usage.ru_maxrss * 1024 / 1e6, time.monotonic() - began)


def _write_rows(folder: Path, labels: int, rows: int, bench: Bench) -> None:
    characters = sorted(set("".join(bench.texts)))
    rng = random.Random(3)
    folder.mkdir()

    def line(label: int) -> str:
        return f"label {label}\t{''.join(rng.choices(characters, k=12))}\n"

    known = [line(label) for label in range(labels)]
    more = [line(rng.randrange(labels)) for _ in range(rows - labels)]
    (folder / "train.tsv").write_text("".join(known + more), encoding="utf-8")
    for name, count in (("dev", 1000), ("test", 50)):
        (folder / f"{name}.tsv").write_text("".join(line(rng.randrange(labels)) for _ in range(count)))


def _training(folder: Path, bench: Bench, output: str, *flags: str) -> list[str]:
    return [
        "bert-ft-train", "--task_name=tsv", f"--data_dir={folder / 'data'}", f"--init_checkpoint={bench.model_dir}",
        f"--output_dir={output}", "--max_seq_length=32", "--train_batch_size=16", *flags,
    ]  # fmt: skip


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@row("overwrite", "commands that would replace a trained model")
def overwrite(bench: Bench) -> Outcome:
    with working_folder() as folder:
        _write_rows(folder / "data", 5, 100, bench)
        train = _training(folder, bench, "model", "--num_train_epochs=1")
        made = _run(folder, *train)
        if made.status:
            return Outcome("a model", f"no model: {made.last}", False)
        if _run(folder, "bert-ft", "export-hf", "model", "hf").status:
            return Outcome("a model", "no Hugging Face folder", False)
        (folder / "link").symlink_to("model")
        vocabulary = f"--vocab_file={bench.model_dir / 'vocab.txt'}"
        own, foreign = "holds the model to start from", "--overwrite"
        cases: list[tuple[list[str], int, str]] = [
            ([*train, "--init_checkpoint=model", "--overwrite"], 1, own),
            ([*train, "--init_checkpoint=model/bert_model.ckpt"], 1, own),
            ([*train, "--init_checkpoint=link", "--overwrite"], 1, own),
            ([*train, "--output_dir=link", "--init_checkpoint=model"], 1, own),
            ([*train, "--seed=1"], 1, foreign),
            ([*train, "--train_file=dev.tsv"], 1, foreign),
            ([*train, "--output_dir=hf"], 1, foreign),
            ([*train, "--output_dir="], 2, "the path is empty"),
            ([*train, "--data_dir="], 2, "the path is empty"),
            ([*train, "--init_checkpoint="], 2, "the path is empty"),
            (["bert-ft", "new-checkpoint", "model", vocabulary], 1, "task tsv, accuracy"),
            (["bert-ft", "new-checkpoint", "", vocabulary], 2, "the path is empty"),
            (["bert-ft", "import-hf", "hf", "model"], 1, "task tsv, accuracy"),
            (["bert-ft", "import-hf", "hf", "hf", "--overwrite"], 1, own),
            (["bert-ft", "export-hf", "model", "hf"], 1, "model.safetensors"),
            (["bert-ft", "export-hf", "model", "link", "--overwrite"], 1, own),
            (["bert-ft", "export", f"{bench.model_dir}/bert_model.ckpt", "model"], 1, "task tsv, accuracy"),
            (["bert-ft", "export", "model/bert_model.ckpt", "link", "--overwrite"], 1, own),
        ]
        before = _contents(folder / "model"), _contents(folder / "hf")
        failed = []
        for command, status, told in cases:
            done = _run(folder, *command)
            if not done.refused(status, told) or (_contents(folder / "model"), _contents(folder / "hf")) != before:
                failed.append(f"{' '.join(command[:2] + command[-2:])}: {done.last}")
        for command in (train, [*train, "--seed=1", "--overwrite"]):
            done = _run(folder, *command)
            failed += [f"the same command, or --overwrite: {done.last}"] if done.status else []
        found = f"{len(cases)} refused in one line, files as before; made anew by the same command and by --overwrite"
        return Outcome(f"{len(cases) + 2} commands", "; ".join(failed) or found, not failed)


def _served_alike(bench: Bench, model: Path, texts: list[str], answers: list[dict]) -> int:
    """How many texts a server gives the classes and scores that ``bert-ft predict`` gave."""
    with bench.serve(model_dir=model) as server, server.client() as client:
        found = client.classify(texts)
    return sum(
        one.label == answer["label"] and all(abs(one.scores[name] - p) < 1e-5 for name, p in answer["scores"].items())
        for one, answer in zip(found, answers, strict=True)
    )


@row("labels", "a classifier with thousands of labels: trained, scored, saved, asked")
def labels(bench: Bench) -> Outcome:
    found, good = [], True
    counts = [5_000] if bench.quick else [5_000, 50_000]
    for count in counts:
        with working_folder() as folder:
            _write_rows(folder / "data", count, count, bench)
            every = ["--do_train", "--do_eval", "--do_predict", "--num_train_epochs=0.05"]
            trained = _run(folder, *_training(folder, bench, "model", *every))
            (folder / "texts.txt").write_text("".join(f"{text}\n" for text in bench.texts[:20]), encoding="utf-8")
            predict = ["--model_dir=model", "--input=texts.txt", "--output=answers.jsonl"]
            asked = _run(folder, "bert-ft", "predict", *predict)
            if trained.status or asked.status:
                found.append(f"{count:,}: {trained.last}, {asked.last}")
                good = False
                continue
            record = (folder / "model" / "bert_ft.json").stat().st_size / 1e6
            confused = json.loads((folder / "model" / "metrics.json").read_text())["dev"]["most_confused"]
            answers = [json.loads(line) for line in (folder / "answers.jsonl").open(encoding="utf-8")]
            whole = [len(answer["scores"]) == count for answer in answers]
            served = _served_alike(bench, folder / "model", bench.texts[:20], answers)
            rows = sum(1 for _ in (folder / "model" / "test_results.tsv").open())
            memory = max(trained.memory_mb, asked.memory_mb)
            found.append(
                f"{count:,}: {trained.seconds:.0f} s, at most {memory:.0f} MB, bert_ft.json {record:.1f} MB, "
                f"{len(confused)} confusions, {rows} test rows, {sum(whole)} of 20 lines answered, "
                f"{served} served alike"
            )
            good = good and memory < MAX_MEMORY_MB and record < 5 and len(confused) <= 100
            good = good and rows == 50 and whole == [True] * 20 and served == 20
    return Outcome(f"{' and '.join(f'{count:,}' for count in counts)} labels", "; ".join(found), good)


@row("numbers", "numbers on command lines that no training can use")
def numbers(bench: Bench) -> Outcome:
    with working_folder() as folder:
        long = ("seed", "max_seq_length", "train_batch_size", "eval_batch_size")
        shared = [f"--{one}={LONG}" for one in long]
        shared += ["--num_train_epochs=1e300", "--num_train_epochs=nan", "--warmup_proportion=nan"]
        shared += ["--learning_rate=nan", "--learning_rate=inf"]
        tagging = ["--layer_decay=nan", "--holdout=nan", "--freeze_epochs=inf", f"--augment={LONG}"]
        commands = [["bert-ft-train", "--task_name=tsv", flag] for flag in shared]
        commands += [["bert-ft-train", "--task_name=ner", flag] for flag in shared + tagging]
        commands += [
            ["bert-ft", "new-checkpoint", "out", "--vocab_file=v", f"--seed={LONG}"],
            ["bert-ft", "predict", "--model_dir=m", "--input=i", "--output=o", f"--batch_size={LONG}"],
            ["bert-ft", "evaluate-sts", "--model_dir=m", "--file=f", f"--batch_size={LONG}"],
        ]
        failed = []
        for command in commands:
            done = _run(folder, *command)
            if not done.refused(2, "is not in the range", command[-1].partition("=")[0]):
                failed.append(f"{command[-1]}: {done.last}")
        found = f"{len(commands) - len(failed)} refused in one line that names the range, exit 2"
        return Outcome(f"{len(commands)} command lines", "; ".join([found, *failed]), not failed)


@row("state", "a damaged training_state, and --resume")
def state(bench: Bench) -> Outcome:
    with working_folder() as folder:
        _write_rows(folder / "data", 5, 100, bench)
        train = _training(folder, bench, "model", "--num_train_epochs=500")
        with (folder / "stderr").open("w") as errors:
            process = subprocess.Popen([program(train[0]), *train[1:]], cwd=folder, stderr=errors, stdout=errors)
            until(lambda: (folder / "model" / "training_state" / "training_state.json").exists(), 120)
            process.send_signal(signal.SIGINT)
            if process.wait(60) != 130:
                return Outcome("Ctrl-C", f"exit {process.returncode}", False)
        failed = []
        names = ("variables.data-00000-of-00001", "variables.index", "training_state.json")
        cases = [(file, damage) for file in names for damage in _DAMAGES]
        for file, damage in cases:
            shutil.rmtree(folder / "copy", ignore_errors=True)
            shutil.copytree(folder / "model", folder / "copy")
            _DAMAGES[damage](folder / "copy" / "training_state" / file)
            done = _run(folder, *train, "--output_dir=copy", "--resume")
            if not done.refused(1, "cannot be resumed from", "; leave out --resume to start anew"):
                failed.append(f"{file} {damage}: {done.last}")
        found = f"{len(cases) - len(failed)} refused in one line: cannot be resumed from, why, leave out --resume"
        return Outcome(f"{len(cases)} damages", "; ".join([found, *failed]), not failed)


_DAMAGES: dict[str, Callable[[Path], object]] = {"cut": halve, "of noise": fill_with_noise, "missing": Path.unlink}
