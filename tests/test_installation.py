from __future__ import annotations

from importlib import metadata

import bert_serving_scripts
import pytest


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
