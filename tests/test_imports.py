"""Imports go one way, and what takes seconds to import is imported by those who need it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tiny_models import tiny_model

ROOT = Path(__file__).parents[1]
ROOTS = (ROOT, ROOT / "server", ROOT / "client")
PACKAGES = ("bert_ft", "bert_serving", "bert_serving_scripts")
MAX_FILES = 15
"""In a folder, beside ``__init__.py``."""

LAYERS = {
    "bert_ft": """
        bert_ft  errors  numerics  shown  startup
        logs  pooling_strategy
        signals
        files
        hardware  text  data
        model.backend
        checkpoint
        checkpoint.huggingface
        model
        engines
        engines.openvino
        engines.selection
        inference  training
        tasks.tagging.schemes
        tasks.tagging.formats
        tasks
        flags
        commands
        run_classifier  run_ner  __main__
    """,
    "bert_serving.client": """
        errors  keys  checks
        wire  handshake
        requests  sockets
        results
        base
        client  aio
        concurrent
        bert_serving.client
    """,
    "bert_serving.server": """
        limits  monitoring
        process  options
        engine_choice
        settings  batching
        tasks
        workers
        models  admission
        answering
        frontends
        frontends.zmq  frontends.http
        frontends.table
        server
        commands
        bert_serving.server  helper
    """,
}
"""A line is a layer, from the lowest. A module belongs to the longest name that begins its own, and imports what is on
its own line only from under its own name, else from lines above."""

ABOVE = {
    "bert_ft": set(),
    "bert_serving.client": set(),
    "bert_serving.server": {"bert_ft", "bert_serving.client"},
    "bert_serving.benchmark": {"bert_ft", "bert_serving.client", "bert_serving.server"},
    "bert_serving_scripts": {"bert_ft", "bert_serving.server", "bert_serving.benchmark"},
}
"""What a package may import of the others."""

TENSORFLOW = ("tensorflow", "bert_ft.model.backend")
HAVE_TENSORFLOW = ("bert_ft.model.", "bert_ft.training.", "bert_ft.engines.tensorflow", "bert_ft.checkpoint.writer")
FETCH_TENSORFLOW = ("bert_ft.checkpoint.save", "bert_ft.checkpoint.reader", "bert_serving.benchmark.peak")


class Import(NamedTuple):
    """``lazy``: within a function."""

    module: str
    lazy: bool


@cache
def modules() -> dict[str, Path]:
    files = ((root, path) for root in ROOTS for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for root, path in files
    }


@cache
def imports_of(module: str) -> list[Import]:
    return list(_imports(ast.parse(modules()[module].read_text("utf-8")), lazy=False))


def _imports(parent: ast.AST, lazy: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(name if name in modules() else str(node.module), lazy)
        yield from _imports(node, lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def begins(module: str, name: str) -> bool:
    return module == name or module.startswith(name + ".")


def package_of(module: str) -> str | None:
    return next((package for package in ABOVE if begins(module, package)), None)


def own_imports() -> list[tuple[str, str]]:
    """Who imports what of ours."""
    return [(module, one.module) for module in modules() for one in imports_of(module) if one.module in modules()]


@pytest.mark.parametrize("package", LAYERS)
def test_layers_import_lower_ones_alone(package: str) -> None:
    lines = [line.split() for line in LAYERS[package].strip().splitlines()]
    height = {
        name if name == package else f"{package}.{name}": number for number, line in enumerate(lines) for name in line
    }

    def layer(module: str) -> str:
        return max((name for name in height if (begins(module, name) and name != package) or name == module), key=len)

    assert set(height) <= set(modules())
    wrong = [
        f"{module} imports {other}"
        for module, other in own_imports()
        if begins(module, package) and begins(other, package) and layer(module) != layer(other)
        if height[layer(module)] <= height[layer(other)]
    ]
    assert not wrong


def test_packages_import_those_below_them_alone() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, other in own_imports()
        if (mine := package_of(module)) != (its := package_of(other)) and its not in ABOVE[str(mine)]
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for module, other in own_imports():
        graph[module].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_folders_import_each_other() -> None:
    """Those of one parent; a folder and one within it are one place to this test."""
    edges: dict[tuple[str, str], str] = {}
    for module, other in own_imports():
        if "bert_ft.model.backend" in (module, other):
            continue  # a layer of its own
        ours, its = modules()[module].parent.parts, modules()[other].parent.parts
        same = next((n for n, (one, two) in enumerate(zip(ours, its, strict=False)) if one != two), None)
        if same is not None:
            edges["/".join(ours[: same + 1]), "/".join(its[: same + 1])] = f"{module} imports {other}"
    assert not [(said, edges[two, one]) for (one, two), said in edges.items() if (two, one) in edges]


def test_tensorflow_is_imported_where_it_is_computed_with() -> None:
    lazily = (*TENSORFLOW, "bert_ft.checkpoint.writer")
    wrong = []
    for module in modules():
        for one in imports_of(module):
            if module.startswith(HAVE_TENSORFLOW) or (one.lazy and module in FETCH_TENSORFLOW):
                continue
            if one.module in lazily or one.module.startswith("tensorflow."):
                wrong.append(f"{module} imports {one.module}")
    assert not wrong


def test_no_folder_has_too_many_files() -> None:
    count = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    assert [str(folder) for folder, files in count.items() if files > MAX_FILES] == []


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after ``code``, however that ends."""
    program = f"import sys\ntry:\n    {code}\nfinally:\n    print('', *sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def commands() -> dict[str, str]:
    """``module:function`` by name of the console command."""
    section = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.scripts]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^(\S+) = "(\S+)"$', section, re.MULTILINE))


def run_command(place: str, *arguments: str) -> str:
    module, _, function = place.partition(":")
    return f"import {module} as m; sys.argv[1:] = {list(arguments)}; m.{function}()"


@pytest.mark.parametrize(
    "names",
    [
        ["bert_serving.server.server", "bert_serving.server.frontends.table", "bert_serving.server.commands.cli"],
        ["bert_serving.client"],
    ],
)
def test_server_and_client_need_neither_tensorflow_nor_pandas(names: list[str]) -> None:
    assert not loaded_by(f"import {', '.join(names)}") & {"tensorflow", "keras", "pandas"}


@pytest.mark.parametrize("name", commands())
def test_help_needs_no_tensorflow(name: str) -> None:
    assert not loaded_by(run_command(commands()[name], "--help")) & {"tensorflow", "keras"}


def test_inspecting_a_model_needs_no_tensorflow(tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "tagger")
    assert not loaded_by(run_command(commands()["bert-ft"], "inspect", str(model))) & {"tensorflow", "keras"}
