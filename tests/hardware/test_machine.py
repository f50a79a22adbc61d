"""``bert-ft inspect --machine``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from bert_ft.commands.main import main
from bert_ft.hardware import machine
from bert_ft.hardware.machine import describe_machine
from bert_ft.hardware.processor import Processor, usable_cores

ZEN3 = Processor("EPYC", "x86_64", frozenset({"avx", "avx2", "fma"}))
SKYLAKE_LIMIT = Processor("Xeon", "x86_64", ZEN3.features, "AVX2")


def rows(text: str) -> dict[str, str]:
    return {line[:12].rstrip(): line[12:] for line in text.splitlines()}


def test_it_names_the_libraries_and_what_auto_takes_without_tensorflow() -> None:
    code = (
        "import sys, bert_ft.hardware.machine as m; print(m.describe_machine()); sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert f"{usable_cores()} usable cores" in found["processor"]
    assert found["tensorflow"].startswith(version("tensorflow"))
    assert found["openvino"].startswith(version("openvino").split("-")[0])
    precision, engine = found["auto"].split()[1::2]
    assert precision in ("fp32", "bf16")
    assert f"-precision auto takes {precision}" in found["because"]
    assert f"-engine auto takes {engine}" in found["because"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "oneDNN on, which it leaves off here by itself"),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "TF_ENABLE_ONEDNN_OPTS=0"),
    ],
)
def test_who_decides_about_onednn(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str) -> None:
    monkeypatch.setattr(machine, "this_processor", lambda: ZEN3)
    monkeypatch.setattr("bert_ft.hardware.processor.this_processor", lambda: ZEN3)
    assert said in rows(describe_machine(environment))["tensorflow"]


def test_a_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "this_processor", lambda: SKYLAKE_LIMIT)
    assert rows(describe_machine())["kind"] == "AVX2; oneDNN is limited to AVX2 (ONEDNN_MAX_CPU_ISA)"


def test_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "this_processor", lambda: ZEN3)
    monkeypatch.setattr(machine, "is_installed", lambda *names: False)
    assert rows(describe_machine())["auto"] == "-precision fp32 -engine tensorflow"


def test_a_broken_openvino_is_said_in_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(machine, "is_installed", lambda *names: True)
    assert "cannot be imported (" in rows(describe_machine())["openvino"]


def test_the_command_wants_a_path_or_the_machine() -> None:
    assert "auto" in rows(CliRunner().invoke(main, ["inspect", "--machine"]).output)
    done = CliRunner().invoke(main, ["inspect"])
    assert (done.exit_code, done.stderr) == (
        1,
        "error: give the PATH of a model directory or checkpoint, or --machine\n",
    )
