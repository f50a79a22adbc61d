"""Flags of processors as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from bert_serving.server import processor
from bert_serving.server.processor import has_fast_bfloat16, precision_notes


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 fma\n", True),
        ("flags\t\t: fpu avx512f amx_tile amx_bf16\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 fma\nflags\t\t: fpu\n", False),
        ("", None),
    ],
)
def test_flags(cpuinfo: str, expected: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, **how: cpuinfo)
    assert has_fast_bfloat16() is expected


@pytest.mark.parametrize(
    ("precision", "fast", "said"),
    [
        ("fp32", True, "-precision bf16 is faster"),
        ("bf16", False, "fp32 may be faster"),
        ("bf16", True, ""),
        ("fp32", None, ""),
    ],
)
def test_notes(precision: str, fast: bool | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "has_fast_bfloat16", lambda: fast)
    notes = precision_notes(precision, on_processor=True)
    assert [said in note for note in notes] == ([True] if said else [])
    assert precision_notes(precision, on_processor=False) == []
