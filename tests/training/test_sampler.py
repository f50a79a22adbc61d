from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert_ft.training.sampler import ShuffledOrder


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_every_pass_sees_every_example_once(examples: int, batch_size: int, seed: int) -> None:
    order = ShuffledOrder(examples, batch_size, seed)
    steps = -(-3 * examples // batch_size)
    stream = np.concatenate([order.batch(step) for step in range(steps)])
    for start in range(0, 3 * examples, examples):
        assert sorted(stream[start : start + examples]) == list(range(examples))


def test_order_depends_on_seed_and_step_alone() -> None:
    first, second = ShuffledOrder(100, 7, seed=1), ShuffledOrder(100, 7, seed=1)
    later = [second.batch(step) for step in reversed(range(40))][::-1]
    assert all(np.array_equal(first.batch(step), later[step]) for step in range(40))
    assert not np.array_equal(first.batch(0), ShuffledOrder(100, 7, seed=2).batch(0))


def test_passes_differ() -> None:
    order = ShuffledOrder(50, 50, seed=0)
    assert not np.array_equal(order.batch(0), order.batch(1))
