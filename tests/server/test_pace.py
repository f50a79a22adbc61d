"""Batches by time: what the measured rate makes of the budgets."""

from __future__ import annotations

import pytest
from bert_serving.server.batching.batch_size import FEWEST, MOST, Pace
from hypothesis import given
from hypothesis import strategies as st


def test_half_a_second_and_a_tenth() -> None:
    pace = Pace(None)
    pace.start(2000.0)
    assert (pace.long, pace.short) == (1000, 200)
    pace.start(9.0)  # of another worker that is ready later
    assert pace.long == 1000


def test_the_flag_goes_before_the_clock() -> None:
    pace = Pace(300)
    assert (pace.long, pace.short) == (300, 300)
    pace.start(2000.0)
    assert (pace.long, pace.short) == (300, 200)


@given(st.floats(1e-3, 1e12), st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 1e6)), max_size=30))
def test_budgets_stay_within_their_bounds(rate: float, batches: list[tuple[int, float]]) -> None:
    pace = Pace(None)
    pace.start(rate)
    for pieces, seconds in batches:
        pace.learn(pieces, seconds)
        assert FEWEST <= pace.short <= pace.long <= MOST


def test_the_rate_is_learnt_from_large_batches() -> None:
    pace = Pace(None)
    pace.start(1000.0)
    for _ in range(100):
        pace.learn(1500, 0.5)
        pace.learn(10, 0.05)  # a single sentence: 200 pieces a second
    assert pace.long == pytest.approx(1500, rel=0.01)
