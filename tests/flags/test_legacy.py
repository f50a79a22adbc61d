"""Command lines in every spelling that old scripts use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bert_ft.errors import BertFtError
from bert_ft.files.names import name_fault
from bert_ft.flags.legacy import AddedOption, LegacyCommand


@click.command(cls=LegacyCommand)
@click.option("-model_dir")
@click.option("-num_worker", type=int, default=1)
@click.option("-device_map", type=int, multiple=True)
@click.option("-pooling_layer", type=int, multiple=True, default=[-2])
@click.option("-port", "-port_in", "-port_data", type=int, default=5555)
@click.option("-port_out", "-port_result", type=int, default=5556)
@click.option("-cpu", is_flag=True)
@click.option("-device_policy", cls=AddedOption)
@click.option("--do_train", type=bool, is_flag=False, default=False)
@click.option("--learning_rate", type=float, default=5e-5, metavar="RATE")
@click.argument("rest", nargs=-1)
def command(**values: object) -> None:
    if values["model_dir"] == "broken":
        raise BertFtError("broken: no such\ndirectory")
    if values["model_dir"] in ("plain", "b\udce6"):
        str(values["model_dir"]).encode()
        raise ValueError("of its own")
    click.echo(repr({key: value for key, value in values.items() if value is not None}))


def run(*args: str) -> dict:
    result = CliRunner().invoke(command, list(args))
    assert result.exit_code == 0, result.output
    return eval(result.output)


def fails(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(args))
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.exit_code, result.stderr.strip()


@pytest.mark.parametrize(
    "args",
    [
        ["-model_dir", "x"],
        ["--model_dir", "x"],
        ["-model_dir=x"],
        ["--model_dir=x"],
        ["--model-dir", "x"],
        ["-model-dir=x"],
        ["-model", "x"],
        ["--mod=x"],
    ],
)
def test_spellings(args: list[str]) -> None:
    assert run(*args)["model_dir"] == "x"


def test_value_with_equals_sign_spaces_and_dashes() -> None:
    assert run("-model_dir=a=b -c")["model_dir"] == "a=b -c"
    assert run("-model_dir=-dashed")["model_dir"] == "-dashed"
    assert run("-model_dir=")["model_dir"] == ""


@pytest.mark.parametrize(
    ("args", "layers"),
    [
        (["-pooling_layer", "-1", "-3"], (-1, -3)),
        (["-pooling_layer", "-4", "-3", "-cpu"], (-4, -3)),
        (["-pooling_layer=-1", "-pooling_layer=2"], (-1, 2)),
        (["-pooling_layer", "0"], (0,)),
        ([], (-2,)),
    ],
)
def test_several_values(args: list[str], layers: tuple[int, ...]) -> None:
    assert run(*args)["pooling_layer"] == layers


def test_abbreviation_prefers_legacy_options() -> None:
    values = run("-device", "0", "1", "-num", "3")
    assert values["device_map"] == (0, 1)
    assert values["num_worker"] == 3
    assert run("-device_p", "x")["device_policy"] == "x"


def test_aliases_of_one_option() -> None:
    assert run("-port_in", "7")["port"] == 7
    assert run("-port_data=7")["port"] == 7
    assert run("-port_r", "8") == {**run(), "port_out": 8}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], False),
        (["--do_train"], True),
        (["--do_train=true"], True),
        (["--do_train", "True"], True),
        (["--do_train=false"], False),
        (["--do_train", "False"], False),
        (["--do-train", "--learning_rate=1e-3"], True),
        (["-do_train=0"], False),
    ],
)
def test_boolean_options(args: list[str], expected: bool) -> None:
    assert run(*args)["do_train"] is expected


def test_boolean_does_not_swallow_a_positional() -> None:
    values = run("--do_train", "file.tsv")
    assert values["do_train"] is True
    assert values["rest"] == ("file.tsv",)


def test_flags() -> None:
    assert run("-cpu")["cpu"] is True
    assert run("--cpu=true")["cpu"] is True
    assert run("-cpu=false")["cpu"] is False


def test_positionals_and_negative_numbers() -> None:
    assert run("-cpu", "a", "-3", "--", "-model_dir")["rest"] == ("a", "-3", "-model_dir")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-num_worfer=3"], "no such option -num_worfer; did you mean -num_worker?"),
        (["--num_worfer", "3"], "no such option --num_worfer; did you mean -num_worker?"),
        (["-zzzz"], "no such option -zzzz; see -help"),
        (["-port_", "1"], "option -port_ is ambiguous; it could be -port_data, -port_in, -port_out, -port_result"),
        (["-model_dir"], "option -model_dir needs a value"),
        (["-model_dir", "-cpu"], "option -model_dir needs a value, but -cpu follows"),
        (["-device_map"], "option -device_map needs a value"),
        (["-num_worker", "three"], "'three' is not a valid integer"),
        (["-cpu=3"], "option -cpu takes no value"),
        (["--do_train=perhaps"], "perhaps"),
    ],
)
def test_usage_errors_are_one_line(args: list[str], message: str) -> None:
    code, line = fails(*args)
    assert code == 2
    assert message in line


def test_bert_ft_error_is_one_line() -> None:
    assert fails("-model_dir", "broken") == (1, "error: broken: no such directory")


def test_a_name_that_a_library_cannot_take_is_one_line() -> None:
    """A byte that is not UTF-8 is a surrogate here."""
    code, line = fails("-model_dir", "b\udce6")
    assert code == 1
    assert "a library takes file names in UTF-8 only; rename it" in line
    assert isinstance(CliRunner().invoke(command, ["-model_dir", "plain"]).exception, ValueError)


@pytest.mark.parametrize("spelling", ["-h", "-help", "--help"])
def test_help_shows_defaults(spelling: str) -> None:
    result = CliRunner().invoke(command, [spelling])
    assert result.exit_code == 0
    assert "-num_worker" in result.output
    assert "[default: 5555]" in result.output
    assert "RATE" in result.output


def test_inside_a_group() -> None:
    group = click.Group(commands={"serve": command})
    result = CliRunner().invoke(group, ["serve", "-num_worfer=3"])
    assert result.exit_code == 2
    assert result.stderr == "error: no such option -num_worfer; did you mean -num_worker?\n"


def test_what_to_do_about_a_name_depends_on_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_fault(["模型", Path("ascii"), 3, None]) is None
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "gbk")
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("gbk"))
    assert name_fault(["ascii", Path("输出")]) == (
        "输出: a library takes file names in UTF-8 only; here they are gbk: set PYTHONUTF8=1 or LC_ALL=C.UTF-8 if this "
        "one is UTF-8 on the disk, else choose one in ASCII"
    )
    assert (name_fault(["\u0e01"]) or "").startswith("\u0e01: a library")
