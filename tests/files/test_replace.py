"""A directory that is replaced, and a kill at every line of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bert_ft.files import replace
from bert_ft.files.replace import clear_leftovers, remove_directory, replaced_directory

OLD = {"a": "old", "b": "old", "last": "old", "notes": "kept", "sub/inner": "kept", "sub/deep/one": "kept"}
NEW = {**OLD, "a": "new", "b": "new", "last": "new"}


def write(folder: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def replace_files(target: Path) -> None:
    with replaced_directory(target, last="last") as staging:
        write(staging, {"a": "new", "b": "new", "last": "new"})


def killed_at_line(number: int, action: Callable[[], None]) -> bool:
    """Run ``action`` in a child that is killed at the line of replace.py that it reaches as the ``number``-th.

    Returns:
        whether it came to that, rather than to the end.
    """
    child = os.fork()
    if child == 0:
        reached = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal reached
            if frame.f_code.co_filename != replace.__file__:
                return None
            reached += event == "line"
            if reached == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        status = 1
        try:
            sys.settrace(trace)
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status != 0


def kill_replacements(folder: Path, way: str) -> None:
    """Kill a replacement at each of its lines in turn, and look at what is left."""

    def no_links(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    if way == "no exchange":
        replace._exchange = lambda first, second: False
    if way == "no links":
        os.link = no_links
    outcomes = []
    number, killed = 0, True
    while killed:
        number += 1
        target = folder / str(number) / "target"
        write(target, OLD)
        if way == "current directory":
            os.chdir(target)
        killed = killed_at_line(number, lambda: replace_files(target))  # noqa: B023
        left = read(target)
        assert left in (OLD, NEW) or way != "exchanged"
        assert all(left[name] == "kept" for name in OLD if OLD[name] == "kept")
        clear_leftovers(target, "last")
        assert read(target) in (OLD, NEW)
        assert os.listdir(target.parent) == ["target"]
        outcomes.append(read(target) == NEW)
    assert outcomes == sorted(outcomes)
    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert number > 30


def kill_removals(folder: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        target = folder / str(number) / "target"
        write(target, OLD)
        killed = killed_at_line(number, lambda: remove_directory(target))  # noqa: B023
        assert not target.exists() or read(target) == OLD
        clear_leftovers(target)
        assert os.listdir(target.parent) == (["target"] if target.exists() else [])
    assert not target.exists()
    remove_directory(target)


def in_small_process(action: Callable[..., None], *arguments: Any) -> None:
    """Where a fork is quick and not beside TensorFlow's threads."""
    process = multiprocessing.get_context("spawn").Process(target=action, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == 0


@pytest.mark.parametrize("way", ["exchanged", "current directory", "no exchange", "no links"])
def test_a_kill_at_any_line_leaves_the_old_or_the_new(way: str, tmp_path: Path) -> None:
    in_small_process(kill_replacements, tmp_path, way)


def test_a_kill_amid_a_removal_leaves_all_or_nothing(tmp_path: Path) -> None:
    in_small_process(kill_removals, tmp_path)


def test_the_next_replacement_clears_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "target", OLD)
    for name in (".target.new-abcd1234", ".other.new-abcd1234", ".target.new-mine", "target.new-abcd1234"):
        write(tmp_path / name, {"a": "x"})
    with replaced_directory(tmp_path / "target", last="last") as at_work:
        replace_files(tmp_path / "target")  # another process with the same target, in effect
        assert at_work.is_dir()
    assert read(tmp_path / "target") == NEW
    assert sorted(os.listdir(tmp_path)) == [".other.new-abcd1234", ".target.new-mine", "target", "target.new-abcd1234"]


def test_the_file_with_the_checksums_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    plain = os.replace

    def noted(source: Path, target: Path) -> None:
        moved.append(Path(target).name)
        plain(source, target)

    monkeypatch.setattr(replace, "_exchange", lambda first, second: False)
    monkeypatch.setattr(os, "replace", noted)
    write(tmp_path / "target", OLD)
    replace_files(tmp_path / "target")
    assert sorted(moved) == ["a", "b", "last"]
    assert moved[-1] == "last"


def test_an_interruption_behind_the_exchange_loses_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    write(target, OLD)
    plain = replace._exchange

    def interrupted(*args: Any) -> bool:
        plain(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(replace, "_exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_files(target)
    assert read(target) == NEW
    assert os.listdir(tmp_path) == ["target"]
