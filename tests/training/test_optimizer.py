from __future__ import annotations

import numpy as np
import pytest

from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf
from bert_ft.training.optimizer import AdamWeightDecay
from bert_ft.training.schedule import Schedule

NAMES = ["bert/embeddings/word_embeddings", "bert/pooler/dense/kernel", "bert/pooler/dense/bias", "x/LayerNorm/gamma"]


def test_updates_follow_the_formula() -> None:
    """m, v as in Adam without bias correction; epsilon outside the root; decay but for biases and LayerNorm."""
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((4, 3)).astype(np.float32) for name in NAMES}
    variables = {name: tf.Variable(value) for name, value in values.items()}
    optimizer = AdamWeightDecay(variables)
    expected = {name: value.astype(np.float64) for name, value in values.items()}
    m = {name: np.zeros((4, 3)) for name in NAMES}
    v = {name: np.zeros((4, 3)) for name in NAMES}
    for step in range(5):
        gradients = {name: rng.standard_normal((4, 3)) * 3 for name in NAMES}
        rate = 0.01 * (step + 1)
        given = {name: tf.constant(gradients[name], tf.float32) for name in NAMES}
        optimizer.apply(given, tf.constant(rate, tf.float32))
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        for name in NAMES:
            gradient = gradients[name] / max(norm, 1.0)
            m[name] = 0.9 * m[name] + 0.1 * gradient
            v[name] = 0.999 * v[name] + 0.001 * gradient**2
            decay = 0.0 if name.endswith(("bias", "gamma")) else 0.01
            expected[name] -= rate * (m[name] / (np.sqrt(v[name]) + 1e-6) + decay * expected[name])
    for name in NAMES:
        # in float32, 1 - 0.999 is 5e-5 off, relatively: half of that in an update
        np.testing.assert_allclose(variables[name].numpy(), expected[name], rtol=0, atol=1e-5)


def test_small_gradients_are_not_scaled_up_by_clipping() -> None:
    variable = tf.Variable([[1.0]])
    optimizer = AdamWeightDecay({"w": variable})
    norm = optimizer.apply({"w": tf.constant([[0.5]])}, tf.constant(0.1))
    assert float(norm) == pytest.approx(0.5)
    np.testing.assert_allclose(optimizer.slots["w/adam_m"].numpy(), [[0.05]], rtol=1e-6)


def test_repeated_words_enter_the_norm_unsummed_and_the_update_summed() -> None:
    """What a gather's sparse gradient does in Google's code: two gradients of 0.6 for one row have norm 0.85."""
    variable = tf.Variable(np.zeros((3, 1), np.float32))
    name = "bert/embeddings/word_embeddings"
    optimizer = AdamWeightDecay({name: variable})
    slices = tf.IndexedSlices(tf.constant([[0.6], [0.6]]), tf.constant([2, 2]), tf.constant([3, 1]))
    norm = optimizer.apply({name: slices}, tf.constant(0.1))
    assert float(norm) == pytest.approx(0.6 * 2**0.5)
    slot = optimizer.slots[f"{name}/adam_m"].numpy()
    np.testing.assert_allclose(slot, [[0], [0], [0.12]], rtol=1e-6)


def test_schedule_rises_from_zero_and_falls_from_below_the_peak_to_zero() -> None:
    schedule = Schedule.plan(1e-3, examples=1000, batch_size=32, epochs=3.0, warmup_proportion=0.1)
    assert (schedule.total_steps, schedule.warmup_steps) == (93, 9)
    assert schedule.rate(0) == 0.0
    assert schedule.rate(3) == pytest.approx(1e-3 * 3 / 9)
    assert schedule.rate(9) == pytest.approx(1e-3 * (1 - 9 / 93))
    assert schedule.rate(92) == pytest.approx(1e-3 / 93)


def test_without_warmup_the_first_rate_is_the_peak() -> None:
    assert Schedule(1e-3, 10, 0).rate(0) == 1e-3


def test_a_training_of_no_step_is_refused() -> None:
    with pytest.raises(BertFtError, match="make no whole step"):
        Schedule.plan(1e-3, examples=5, batch_size=32, epochs=3.0, warmup_proportion=0.1)
