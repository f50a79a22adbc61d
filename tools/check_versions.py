"""Quick tests on every Python that pyproject.toml names, and with the oldest libraries that it allows.

    python tools/check_versions.py              # all: five to ten minutes each
    python tools/check_versions.py 3.13 oldest  # some

Each combination gets an environment of its own, made in a temporary folder and removed again; the ``pythonX.Y`` are
found on PATH. One line says what came of each, a log holds the rest; the status is 1 unless all passed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
BOUNDS = re.findall(r'"([A-Za-z][\w.-]*)>=([\d.]+)"', PROJECT.partition("[project]")[2])
QUICK = re.findall(r'-m "(.+)"', (ROOT / "Makefile").read_text("utf-8"))[0]


def check(name: str, logs: Path) -> bool:
    """Try "3.12", or "oldest": the oldest Python with the oldest libraries."""
    version = PYTHONS[0] if name == "oldest" else name
    python = shutil.which(f"python{version}")
    if python is None:
        print(f"{name}: no python{version} on PATH", flush=True)
        return False
    begin, log = time.monotonic(), logs / f"{name}.log"
    with tempfile.TemporaryDirectory(prefix=f"bert-ft-{name}-") as folder, log.open("w+") as output:
        constraints, own = Path(folder, "constraints.txt"), f"{folder}/venv/bin/python"
        constraints.write_text("\n".join(map("==".join, BOUNDS)) if name == "oldest" else "")
        steps = {
            "venv": [python, "-m", "venv", f"{folder}/venv"],
            "install": [own, "-m", "pip", "install", "-c", str(constraints), "-e", f"{ROOT}[test]"],
            "list": [own, "-m", "pip", "freeze"],
            "tests": [own, "-m", "pytest", "-q", "-n", os.environ.get("PROCESSES", "2"), "-m", QUICK],
        }
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        for step, command in steps.items():  # noqa: B007
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            if done.returncode:
                break
    last = next(reversed(log.read_text(errors="replace").strip().splitlines()), "")
    failed = f"FAILED ({step}, see {log}): " if done.returncode else ""
    print(f"{name} (python {version}, {(time.monotonic() - begin) / 60:.0f} min): {failed}{last}", flush=True)
    return not done.returncode


def main() -> None:
    logs = Path(tempfile.mkdtemp(prefix="bert-ft-versions-"))
    results = [check(name, logs) for name in sys.argv[1:] or [*PYTHONS, "oldest"]]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
