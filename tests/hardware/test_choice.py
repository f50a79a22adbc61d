"""What auto takes on each kind of processor, and what is said of a precision that does not pay."""

from __future__ import annotations

import doctest

import pytest

from bert_ft.hardware import choice as module
from bert_ft.hardware.choice import choose, precision_notes
from bert_ft.hardware.processor import Processor

AVX2 = ("avx", "avx2", "fma")
AVX512 = (*AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl")


def processor(*features: str, architecture: str = "x86_64") -> Processor:
    return Processor("one", architecture, frozenset(features))


OLD, ZEN3, SKYLAKE = processor("avx"), processor(*AVX2), processor(*AVX512)
ZEN4 = processor(*AVX512, "avx512_vnni", "avx512_bf16")
GRAVITON = processor("asimd", "bf16", "i8mm", architecture="aarch64")
UNKNOWN = Processor("one", "amd64", None)


@pytest.mark.parametrize(
    ("machine", "openvino", "precision", "engine"),
    [
        (ZEN3, True, "fp32", "openvino"),
        (ZEN3, False, "fp32", "tensorflow"),
        (SKYLAKE, True, "fp32", "openvino"),
        (ZEN4, True, "bf16", "openvino"),
        (ZEN4, False, "bf16", "tensorflow"),
        (GRAVITON, True, "bf16", "tensorflow"),
        (OLD, True, "fp32", "tensorflow"),
        (UNKNOWN, True, "fp32", "tensorflow"),
    ],
)
def test_both_on_auto(machine: Processor, openvino: bool, precision: str, engine: str) -> None:
    choice = choose("auto", "auto", machine, gpu=False, openvino=openvino)
    assert (choice.precision, choice.engine) == (precision, engine)
    assert f"-precision auto takes {precision}: " in choice.reason
    assert f"-engine auto takes {engine}: " in choice.reason
    assert "\n" not in choice.reason


@pytest.mark.parametrize("machine", [OLD, ZEN3, SKYLAKE, ZEN4, GRAVITON, UNKNOWN])
@pytest.mark.parametrize("gpu", [False, True])
def test_auto_never_takes_a_precision_that_does_not_pay(machine: Processor, gpu: bool) -> None:
    choice = choose("auto", "auto", machine, gpu, openvino=True)
    assert choice.precision != "int8"
    assert choice.precision == "fp32" or machine.has_bfloat16_products
    assert not [note for note in precision_notes(choice.precision, choice.engine, machine) if "not time" in note]


@pytest.mark.parametrize(
    ("precision", "machine", "gpu", "engine", "why"),
    [
        ("fp32", ZEN3, True, "tensorflow", "GPU"),
        ("bf16", ZEN3, False, "tensorflow", "multiplies it"),
        ("bf16", ZEN4, False, "openvino", "0.5 of tensorflow's time"),
        ("fp32", ZEN4, False, "openvino", "0.7 of tensorflow's time"),
        ("fp32", ZEN3, False, "openvino", "of tensorflow's time on this kind of processor (AVX2)"),
        ("int8", ZEN3, True, "openvino", "the one engine"),
    ],
)
def test_the_engine_of_a_precision(precision: str, machine: Processor, gpu: bool, engine: str, why: str) -> None:
    choice = choose(precision, "auto", machine, gpu, openvino=True)
    assert (choice.precision, choice.engine) == (precision, engine)
    assert why in choice.reason
    assert "-precision" not in choice.reason


def test_what_was_asked_for_is_taken_and_needs_no_reason() -> None:
    assert choose("fp32", "tensorflow", ZEN4, gpu=False, openvino=True) == ("fp32", "tensorflow", "")


@pytest.mark.parametrize(
    ("precision", "engine", "machine", "said"),
    [
        ("fp32", "tensorflow", ZEN4, "-precision bf16 is faster"),
        ("fp32", "tensorflow", ZEN3, ""),
        ("fp32", "tensorflow", UNKNOWN, ""),
        ("bf16", "tensorflow", ZEN3, "saves memory here, not time (measured on AVX2: 0."),
        ("bf16", "openvino", ZEN3, "openvino computes in float32"),
        ("bf16", "tensorflow", ZEN4, ""),
        ("bf16", "tensorflow", UNKNOWN, ""),
        ("int8", "openvino", ZEN3, "no 8-bit products (VNNI): it saves memory here, not time (measured on AVX2: 0."),
        ("int8", "openvino", SKYLAKE, "it saves memory here, not time"),
        ("int8", "openvino", ZEN4, ""),
        ("int8", "openvino", UNKNOWN, ""),
    ],
)
def test_notes(precision: str, engine: str, machine: Processor, said: str) -> None:
    notes = precision_notes(precision, engine, machine)
    assert [said in note for note in notes] == ([True] if said else [])


def test_its_example_runs() -> None:
    assert doctest.testmod(module) == (0, 2)
