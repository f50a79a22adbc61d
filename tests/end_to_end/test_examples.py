"""Each script of examples/ as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.server.support import free_ports, running_server
from tests.tiny_models import tiny_model

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = ["今天真开心", "排队三小时，气死我了", "听说陈志远要去海川市第一医院上班了！"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_model(folder, name) for name in ("encoder", "tagger")}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def example(name: str, *arguments: object) -> list[str]:
    """What a script prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_script_is_tested() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{path.name}"' in source for path in EXAMPLES.glob("*.py"))


def test_encode_a_file(models: dict[str, Path], texts: Path, tmp_path: Path) -> None:
    (line,) = example("encode_a_file.py", models["encoder"], texts, tmp_path / "vectors.npy")
    assert line.endswith("3 vectors of 128 values")
    assert np.load(tmp_path / "vectors.npy").shape == (3, 128)


def test_search(models: dict[str, Path], texts: Path) -> None:
    with running_server("-model_dir", str(models["encoder"])) as server:
        lines = example("search.py", texts, TEXTS[1], server.port, server.port_out)
    assert lines[0] == f"1.000  {TEXTS[1]}"
    assert sorted(line[7:] for line in lines) == sorted(TEXTS)


def test_train_and_classify(models: dict[str, Path], tmp_path: Path) -> None:
    scores, *answers = example("train_and_classify.py", models["encoder"], tmp_path / "output")[-3:]
    assert 0 <= float(scores.rpartition(" ")[2]) <= 1
    assert [line.split("  ")[1] for line in answers] == ["今天真开心", "气死我了"]


def test_entities_of_a_file(models: dict[str, Path], texts: Path) -> None:
    lines = example("entities_of_a_file.py", models["tagger"], texts)
    bare = [line.replace("[person ", "").replace("[place ", "").replace("]", "") for line in lines]
    assert bare == TEXTS


def test_serve_in_python(models: dict[str, Path]) -> None:
    lines = example("serve_in_python.py", models["encoder"], *free_ports(3))
    assert lines == ["over ZeroMQ: (1, 128)", "over HTTP: 128 values"]
