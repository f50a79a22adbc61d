from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import bert_serving.client
import bert_serving_scripts
import pytest

import bert_ft

ROOT = Path(__file__).parents[1]


def test_the_commands_refuse_to_run_beside_another_owner_of_their_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name == "bert-serving-client":
            return "1.10.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(bert_serving_scripts, "begin", lambda: None)  # it changes this process
    with pytest.raises(SystemExit, match=r"bert-serving-client 1\.10\.0 .*pip uninstall -y bert-serving-client"):
        bert_serving_scripts.start()


def test_this_environment_has_no_other_owner() -> None:
    assert bert_serving_scripts.other_owners() == []


def test_there_is_one_version() -> None:
    """The client has a copy, for it is installed alone; what is released says what is new in it."""
    assert bert_serving.client.__version__ == bert_ft.__version__
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heading is not None
    assert heading[1] == bert_ft.__version__
    for project in ("pyproject.toml", "client/pyproject.toml"):
        assert 'dynamic = ["version"]' in (ROOT / project).read_text("utf-8")
