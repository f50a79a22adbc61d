"""What comes from a file or a peer is data: nothing here can turn it into code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("bert_ft", "server", "client") for path in (ROOT / folder).rglob("*.py"))
LOADERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"recv_pyobj", "send_pyobj", "read_pickle", "unsafe_load"}


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]} if not node.level else set()
        else:
            names = set()
        yield from (f"line {node.lineno}: imports {name}" for name in names & LOADERS)
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in BUILTINS:
                yield f"line {node.lineno}: calls {function.id}"
            if isinstance(function, ast.Attribute) and function.attr in METHODS:
                yield f"line {node.lineno}: calls {function.attr}"
            for keyword in node.keywords:
                if keyword.arg in ("allow_pickle", "shell") and not _is_false(keyword.value):
                    yield f"line {node.lineno}: {keyword.arg}"


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def test_no_source_loads_code() -> None:
    assert len(SOURCES) > 100
    found = [f"{path.relative_to(ROOT)}, {fault}" for path in SOURCES for fault in faults(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "eval(x)", "np.load(f, allow_pickle=True)", "socket.recv_pyobj()"],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert len(list(faults(ast.parse(code)))) == 1
