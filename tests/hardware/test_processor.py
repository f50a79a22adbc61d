"""Flags of processors as Linux and macOS write them, oneDNN's limit, and TensorFlow's switch."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bert_ft.hardware import processor
from bert_ft.hardware.processor import ONEDNN_SWITCH, Processor, switch_onednn, this_processor

ZEN3 = "fpu avx avx2 fma"
SKYLAKE = f"{ZEN3} avx512f avx512bw avx512dq avx512vl"
CASCADE_LAKE = f"{SKYLAKE} avx512_vnni"
ZEN4 = f"{CASCADE_LAKE} avx512_bf16"
SAPPHIRE_RAPIDS = f"{ZEN4} avx512_fp16 avx_vnni amx_tile amx_int8 amx_bf16"
ALDER_LAKE = f"{ZEN3} avx_vnni"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Processors are worked out anew in the test and after it; nothing limits oneDNN."""
    for name in (*processor._LIMITS, ONEDNN_SWITCH):
        monkeypatch.delenv(name, raising=False)
    this_processor.cache_clear()
    yield monkeypatch
    this_processor.cache_clear()


def linux(machine: pytest.MonkeyPatch, cpuinfo: str, architecture: str = "x86_64") -> Processor:
    machine.setattr(Path, "read_text", lambda path, **how: cpuinfo)
    machine.setattr(processor.platform, "machine", lambda: architecture)
    return this_processor()


@pytest.mark.parametrize(
    ("flags", "kind", "int8", "bfloat16"),
    [
        ("fpu avx", "x86_64 without AVX2", False, False),
        (ZEN3, "AVX2", False, False),
        (ALDER_LAKE, "AVX2 with VNNI", True, False),
        (SKYLAKE, "AVX512", False, False),
        (CASCADE_LAKE, "AVX512 with VNNI", True, False),
        (ZEN4, "AVX512 with VNNI, BF16", True, True),
        (SAPPHIRE_RAPIDS, "AVX512 with VNNI, BF16, AMX", True, True),
    ],
)
def test_kinds(machine: pytest.MonkeyPatch, flags: str, kind: str, int8: bool, bfloat16: bool) -> None:
    found = linux(machine, f"processor\t: 0\nmodel name\t: One\nflags\t\t: {flags}\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert (found.name, found.kind) == ("One", kind)
    assert (found.has_int8_products, found.has_bfloat16_products) == (int8, bfloat16)
    assert found.onednn_switch() == ("1" if "avx2" in flags else None)


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        ("AVX2", "AVX2"),
        ("avx2_vnni", "AVX2 with VNNI"),
        ("AVX512_CORE", "AVX512"),
        ("AVX512_CORE_VNNI", "AVX512 with VNNI"),
        ("AVX512_CORE_BF16", "AVX512 with VNNI, BF16"),
        ("AVX512_CORE_AMX", "AVX512 with VNNI, BF16, AMX"),
        ("ALL", "AVX512 with VNNI, BF16, AMX"),
        ("nonsense", "AVX512 with VNNI, BF16, AMX"),
        ("", "AVX512 with VNNI, BF16, AMX"),
    ],
)
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_limit_takes_features_away(machine: pytest.MonkeyPatch, name: str, limit: str, kind: str) -> None:
    machine.setenv(name, limit)
    assert linux(machine, f"flags: {SAPPHIRE_RAPIDS}\n").kind == kind


def test_a_limit_adds_nothing(machine: pytest.MonkeyPatch) -> None:
    machine.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert linux(machine, f"flags: {ZEN3}\n").kind == "AVX2"


def test_arm_as_linux_writes_it(machine: pytest.MonkeyPatch) -> None:
    graviton3 = linux(machine, "Features\t: fp asimd asimddp bf16 i8mm sve\n", "aarch64")
    assert graviton3.kind == "ARM with VNNI, BF16".replace("VNNI", "8-bit products")
    assert graviton3.onednn_switch() is None
    this_processor.cache_clear()
    assert linux(machine, "Features\t: fp asimd\n", "aarch64").has_int8_products is False


def test_macos_is_asked(machine: pytest.MonkeyPatch) -> None:
    values = {
        "machdep.cpu.brand_string": "Apple M2",
        "hw.optional.arm.FEAT_BF16": "1",
        "hw.optional.arm.FEAT_I8MM": "1",
    }

    def run(command: list[str], **how: object) -> SimpleNamespace:
        return SimpleNamespace(stdout=f"{values.get(command[-1], '')}\n")

    machine.setattr(processor.platform, "system", lambda: "Darwin")
    machine.setattr(processor.subprocess, "run", run)
    found = linux(machine, "", "arm64")
    assert (found.name, found.has_bfloat16_products, found.has_int8_products) == ("Apple M2", True, True)
    assert found.onednn_switch() is None


def test_where_nobody_says_nothing_is_known_and_nothing_is_switched(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(processor.platform, "system", lambda: "Windows")
    found = linux(machine, "", "AMD64")
    assert (found.features, found.has_int8_products, found.has_bfloat16_products) == (None, None, None)
    assert found.kind == "amd64"
    assert switch_onednn({}) == {}


def test_onednn_is_switched_on_unless_the_user_said_otherwise(machine: pytest.MonkeyPatch) -> None:
    linux(machine, f"flags: {ZEN3}\n")
    assert switch_onednn({}) == {ONEDNN_SWITCH: "1"}
    assert switch_onednn({ONEDNN_SWITCH: "0"}) == {}


def test_its_example_runs() -> None:
    assert doctest.testmod(processor) == (0, 1)
