"""What a random request may be answered with, by the dummy engine's formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.server.support import expected, ids_of

LABELS = ["negative", "neutral", "positive"]
LETTERS = "abcdefghijklmnopqrstuvwx"
CRASH, FAULT = "z", "y"
"""Texts with them kill their worker, or make its engine raise."""


@dataclass
class Wanted:
    """What a request may be answered with."""

    texts: list[str]
    task: str = "encode"
    is_bad: bool = False

    @property
    def must_fail(self) -> bool:
        return self.is_bad or any(letter in text for text in self.texts for letter in (CRASH, FAULT))

    def check(self, model: int, answer: Any) -> None:
        """Compare the answer with the engine's formula, worked out for each text alone."""
        assert not self.must_fail, f"{self} was answered"
        if self.task == "encode":
            np.testing.assert_allclose(answer, expected(self.texts) + model, atol=1e-4)
            return
        assert len(answer) == len(self.texts)
        for text, found in zip(self.texts, answer, strict=True):
            counts = np.bincount([number % len(LABELS) for number in ids_of(text)], minlength=len(LABELS))
            powers = np.exp(counts - counts.max())
            wanted = dict(zip(LABELS, powers / powers.sum(), strict=True))
            np.testing.assert_allclose([found["scores"][label] for label in LABELS], list(wanted.values()), atol=1e-5)

    def check_error(self, code: str) -> None:
        """Only what is wrong may fail; what is refused for the moment may be anybody's."""
        if self.is_bad:
            assert code in ("bad_request", "too_large", "overloaded"), (self, code)
        else:
            assert code in ("overloaded", *(["engine_failed"] if self.must_fail else [])), (self, code)
