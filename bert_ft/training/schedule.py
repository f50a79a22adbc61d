"""The learning rate of Google's optimization.py."""

from __future__ import annotations

from dataclasses import dataclass

from bert_ft.errors import BertFtError


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up from 0, then linear decay to 0 at the last step.

    As in Google's code the decay counts from step 0, so that the rate starts below its peak after the warm-up.

    Args:
        peak: the learning rate asked for.
        total_steps: steps of the whole training.
        warmup_steps: steps of the warm-up.
    """

    peak: float
    total_steps: int
    warmup_steps: int

    @classmethod
    def plan(cls, peak: float, examples: int, batch_size: int, epochs: float, warmup_proportion: float) -> Schedule:
        """Steps as Google counts them: int(examples / batch_size * epochs)."""
        total = int(examples / batch_size * epochs)
        if total < 1:
            raise BertFtError(
                f"{examples} training examples in batches of {batch_size} for {epochs:g} epochs make no whole step; "
                "lower --train_batch_size or raise --num_train_epochs"
            )
        return cls(peak, total, int(total * warmup_proportion))

    def rate(self, step: int) -> float:
        """The rate of a step, the first being step 0."""
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        return self.peak * (1.0 - min(step, self.total_steps) / self.total_steps)
