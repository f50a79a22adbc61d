"""Batches by time: what the measured rate makes of the budgets."""

from __future__ import annotations

import pytest
from bert_serving.server.batching.batch_size import MAX, MIN, BatchSize
from hypothesis import given
from hypothesis import strategies as st


def test_half_a_second_and_a_tenth() -> None:
    batch_size = BatchSize(None)
    batch_size.start(2000.0)
    assert (batch_size.long, batch_size.short) == (1000, 200)
    batch_size.start(9.0)  # of another worker that is ready later
    assert batch_size.long == 1000


def test_the_flag_goes_before_the_clock() -> None:
    batch_size = BatchSize(300)
    assert (batch_size.long, batch_size.short) == (300, 300)
    batch_size.start(2000.0)
    assert (batch_size.long, batch_size.short) == (300, 200)


@given(st.floats(1e-3, 1e12), st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 1e6)), max_size=30))
def test_budgets_stay_within_their_bounds(rate: float, batches: list[tuple[int, float]]) -> None:
    batch_size = BatchSize(None)
    batch_size.start(rate)
    for pieces, seconds in batches:
        batch_size.learn(pieces, seconds)
        assert MIN <= batch_size.short <= batch_size.long <= MAX


def test_the_rate_is_learnt_from_large_batches() -> None:
    batch_size = BatchSize(None)
    batch_size.start(1000.0)
    for _ in range(100):
        batch_size.learn(1500, 0.5)
        batch_size.learn(10, 0.05)  # a single sentence: 200 pieces a second
    assert batch_size.long == pytest.approx(1500, rel=0.01)
