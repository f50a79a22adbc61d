"""Linear-chain conditional random field: the training side (Lafferty et al. 2001; notation of Sutton & McCallum §4)."""

from __future__ import annotations

from typing import Any

from bert_ft.model.backend import tf


def log_likelihood(emissions: Any, tags: Any, lengths: Any, transitions: Any) -> Any:
    """log p(tags | emissions) of each sequence: score of the tags minus the log-partition.

    The score is the sum of each position's emission of its tag and of ``transitions[previous tag, tag]`` for each
    step; begin and end have no scores of their own.

    Args:
        emissions: float32 [B, S, L].
        tags: int32 [B, S]; places beyond a sequence's length hold any valid id.
        lengths: int32 [B], at least 1.
        transitions: float32 [L, L], from row to column.

    Returns:
        float32 [B]
    """
    longest = tf.shape(tags)[1]
    inside = tf.sequence_mask(lengths, longest, dtype=tf.float32)
    unary = tf.reduce_sum(tf.gather(emissions, tags, batch_dims=2) * inside, axis=1)
    steps = tf.gather_nd(transitions, tf.stack([tags[:, :-1], tags[:, 1:]], axis=-1))
    binary = tf.reduce_sum(steps * inside[:, 1:], axis=1)
    return unary + binary - log_partition(emissions, lengths, transitions)


def log_partition(emissions: Any, lengths: Any, transitions: Any) -> Any:
    """log of the sum of exp(score) over all tag sequences, by the forward recursion; float32 [B]."""

    def step(position: Any, alpha: Any) -> tuple[Any, Any]:
        moved = tf.reduce_logsumexp(alpha[:, :, None] + transitions[None], axis=1) + emissions[:, position]
        alpha = tf.where((position < lengths)[:, None], moved, alpha)
        return position + 1, alpha

    longest = tf.shape(emissions)[1]
    _, alpha = tf.while_loop(
        lambda position, alpha: position < longest,
        step,
        (tf.constant(1), emissions[:, 0]),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, emissions.shape[2]])),
    )
    return tf.reduce_logsumexp(alpha, axis=1)
