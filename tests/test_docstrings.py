"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bert_ft
from tests.tiny_models import tiny_model


def _modules() -> list[str]:
    names = ["bert_ft", *(found.name for found in pkgutil.walk_packages(bert_ft.__path__, "bert_ft."))]
    return [name for name in names if ">>>" in _source(name)]


def _source(name: str) -> str:
    path = Path(bert_ft.__file__).parent.joinpath(*name.split(".")[1:])
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples take for granted."""
    folder = tmp_path_factory.mktemp("models")
    names = {"model_dir": "encoder", "classifier_dir": "classifier", "tagger_dir": "tagger"}
    return {"np": np, **{name: tiny_model(folder, kind) for name, kind in names.items()}}


@pytest.mark.parametrize("name", _modules())
def test_examples(name: str, known: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name), extraglobs=known)
    assert results.attempted > 0
    assert results.failed == 0


def test_what_the_face_offers_has_an_example() -> None:
    for name in bert_ft.__all__:
        if name != "ModelDirectory":
            assert ">>>" in (getattr(bert_ft, name).__doc__ or ""), name
