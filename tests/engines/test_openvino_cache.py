"""The stored int8 model: taken only if every byte of it and everything it was made from is as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bert_ft.engines.openvino.cache import StoredModel, load_stored, store

KEY = {"weights": "abc", "alpha": 0.5, "names": ["一", "b"]}
MODEL = StoredModel(b"<graph/>", np.arange(100, dtype=np.uint8))


def is_stored(folder: Path, model: StoredModel = MODEL, key: dict = KEY) -> bool:
    found = load_stored(folder, key)
    return found is not None and found.xml == model.xml and np.array_equal(found.weights, model.weights)


def test_what_was_stored_is_found_again(tmp_path: Path) -> None:
    store(tmp_path / "cache", KEY, MODEL)
    assert is_stored(tmp_path / "cache")


@pytest.mark.parametrize("changed", [{"weights": "abd"}, {"alpha": 0.6}, {"names": ["一"]}, {"new": 1}])
def test_another_key_finds_nothing(tmp_path: Path, changed: dict) -> None:
    store(tmp_path / "cache", KEY, MODEL)
    assert load_stored(tmp_path / "cache", KEY | changed) is None


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_deep_json(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("name", ["cache.json", "model.xml", "model.bin"])
@pytest.mark.parametrize(
    "damage",
    [cut_short, flip_a_bit, replace_by_pipe, replace_by_deep_json, Path.unlink],
    ids=lambda call: call.__name__,
)
def test_a_damaged_file_is_never_used(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    store(tmp_path / "cache", KEY, MODEL)
    damage(tmp_path / "cache" / name)
    assert not is_stored(tmp_path / "cache")


@pytest.mark.parametrize("description", [{}, {"key": KEY}, {"key": KEY, "bytes": "1", "sha256": {}}, [], 1, None])
def test_a_foreign_description_is_never_used(tmp_path: Path, description: object) -> None:
    store(tmp_path / "cache", KEY, MODEL)
    (tmp_path / "cache" / "cache.json").write_text(json.dumps(description))
    assert load_stored(tmp_path / "cache", KEY) is None


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert load_stored(tmp_path / "cache", KEY) is None
    (tmp_path / "cache").write_text("a file")
    assert load_stored(tmp_path / "cache", KEY) is None


def test_a_new_model_takes_the_place_of_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    store(tmp_path / "cache", KEY, MODEL)
    newer = StoredModel(b"<other/>", np.zeros(10, np.uint8))
    store(tmp_path / "cache", KEY | {"alpha": 1}, newer)
    assert is_stored(tmp_path / "cache", newer, KEY | {"alpha": 1})
    assert load_stored(tmp_path / "cache", KEY) is None
    assert os.listdir(tmp_path) == ["cache"]
    assert sorted(os.listdir(tmp_path / "cache")) == ["cache.json", "model.bin", "model.xml"]


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file, whoever runs this")
    with pytest.raises(OSError, match="folder"):
        store(tmp_path / "folder" / "cache", KEY, MODEL)
