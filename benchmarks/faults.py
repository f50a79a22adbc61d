"""Try everything that kills, hangs or floods a server or loses a model, and print what came of it.

Usage: python benchmarks/faults.py [--quick] [--row NAME]... [--model_dir DIR] [--old_client DIR] [--minutes N] [--list]

A row about training runs its commands; every other starts real servers on a real model directory (by default a small
one made for the run), with clients whose every answer is compared with the vector that the engine computes in this
process for each text alone. --quick has smaller numbers. --old_client is a folder with bert-serving-client 1.10.0 (by
default it is installed into a temporary one). --minutes is the length of the row "soak", which runs only if it is
named. Needs Linux: memory and descriptors are read from /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

NOT_BY_DEFAULT = {"soak"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--row", action="append", default=[], metavar="NAME")
    parser.add_argument("--model_dir", type=Path)
    parser.add_argument("--old_client", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    from common import ROOT
    from fault_rows import callers, commands, crowd, fuzz, life, limits, models, oddities, training, workers  # noqa: F401
    from fault_rows.bench import ROWS, Bench, Outcome, new_checkpoint

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # of tests.engines
    if arguments.list:
        for row in ROWS.values():
            print(f"{row.name:12} {row.tried}")
        return
    if unknown := set(arguments.row) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; --list shows them")
    with tempfile.TemporaryDirectory() as folder:
        model_dir = arguments.model_dir or Path(folder) / "model"
        if not arguments.model_dir:
            new_checkpoint(model_dir, ROOT / "data" / "vocab.txt", "--num_hidden_layers=2", "--hidden_size=128")
        old_client = arguments.old_client or installed_client(Path(folder) / "client")
        bench = Bench(model_dir.resolve(), old_client.resolve(), arguments.quick, arguments.minutes)
        failed = []
        for name in arguments.row or [name for name in ROWS if name not in NOT_BY_DEFAULT]:
            began = time.monotonic()
            try:
                outcome = ROWS[name].run(bench)
            except Exception:
                traceback.print_exc()
                outcome = Outcome(ROWS[name].tried, "the row itself failed, see above", False)
            passed, seconds = "pass" if outcome.passed else "FAIL", time.monotonic() - began
            print(f"| {name} | {outcome.sent} | {outcome.found} | {passed} | {seconds:.0f} s |", flush=True)
            failed += [] if outcome.passed else [name]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def installed_client(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(folder), "bert-serving-client==1.10.0"], check=True)
    return folder


if __name__ == "__main__":
    main()
