"""The training loop: steps, an evaluation each epoch, the best epoch kept."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bert_ft.data.checksum import checksum
from bert_ft.errors import BertFtError
from bert_ft.logs import Progress, progress_bar
from bert_ft.signals import StopSignals
from bert_ft.text.packing import InputFeatures
from bert_ft.training.sampler import ShuffledOrder
from bert_ft.training.schedule import Schedule
from bert_ft.training.step import Trainer

logger = logging.getLogger(__name__)

_SMOOTHING = 0.95


@dataclass(frozen=True)
class TrainingSet:
    """What a step draws from.

    Attributes:
        features: N texts.
        labels: N arrays, int32: one class id, or one tag id for each piece of the text.
        sources: where each text came from, such as "train.tsv:17"; named when a loss is not a number.
    """

    features: Sequence[InputFeatures]
    labels: Sequence[np.ndarray]
    sources: Sequence[str]

    def checksum(self) -> str:
        """Tells these rows, in their order, from others; where they came from does not count."""
        rows = zip(self.features, self.labels, strict=True)
        return checksum((f.ids, f.segments, labels.tolist()) for f, labels in rows)

    def batch(self, indices: np.ndarray) -> tuple[list[InputFeatures], np.ndarray]:
        """Some texts, and their labels end to end."""
        return [self.features[i] for i in indices], np.concatenate([self.labels[i] for i in indices])


@dataclass(frozen=True)
class Plan:
    """How long and in what order to train.

    Attributes:
        schedule: the learning rate of each step.
        batch_size: texts a step.
        seed: decides the order.
        metric: key of the evaluation by which epochs are compared; higher is better, the earlier of equals is kept.
        part_steps: first steps in which only a part of the variables is trained.
        patience: evaluations without a better one after which to stop; None never stops early.
        state_steps: steps between two savings of the state, beside those at the end of an epoch.
    """

    schedule: Schedule
    batch_size: int
    seed: int
    metric: str
    part_steps: int = 0
    patience: int | None = None
    state_steps: int = 1000


@dataclass
class FitResult:
    """How a training went, or has gone so far.

    Attributes:
        steps: steps done.
        best_step: number of steps after which the kept weights stood; 0 if none were kept.
        best: the development metrics of the kept weights.
        history: step and development metrics of every evaluation.
        finished: whether all steps were done, or it stopped early.
        stopped_by: the signal that ended it; one that comes with the last step leaves it ``finished``.
    """

    steps: int = 0
    best_step: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    stopped_by: int | None = None

    @property
    def exit_status(self) -> int:
        """0, or what a shell reports of a process that a signal ended: 130 after SIGINT, 143 after SIGTERM."""
        return 0 if self.stopped_by is None else 128 + self.stopped_by

    @property
    def is_evaluated(self) -> bool:
        """Whether the weights have been evaluated since the last step."""
        return bool(self.history) and self.history[-1]["step"] == self.steps


def fit(
    trainer: Trainer,
    data: TrainingSet,
    plan: Plan,
    evaluate: Callable[[Progress], dict[str, Any]] | None,
    keep: Callable[[FitResult], None],
    save_state: Callable[[FitResult], None] = lambda result: None,
    done: FitResult | None = None,
) -> FitResult:
    """Train until ``plan.schedule.total_steps`` steps are done.

    Args:
        evaluate: development metrics of the weights as they stand, called after each epoch and at the end with a
            progress to advance batch by batch, where a signal ends it; None keeps the last weights.
        keep: save the weights as they stand.
        save_state: save what ``done`` and the trainer need to go on from here; called after each epoch, every
            ``plan.state_steps`` steps and when a signal ends the training.
        done: how far an earlier call came, the trainer's variables standing as they did then.

    Ctrl-C and SIGTERM end the training after the step under way; if nothing was kept until then, the weights are kept
    as they stand.

    Raises:
        BertFtError: the loss or the gradient is not finite; an evaluation failed, for want of memory perhaps, after the
            state was saved, and the weights too if none were kept before.
    """
    result = done or FitResult()
    total = plan.schedule.total_steps
    order = ShuffledOrder(len(data.features), plan.batch_size, plan.seed)
    epoch_ends = _epoch_ends(len(data.features), plan.batch_size, total)
    saved = result.steps
    smoothed: float | None = None
    with StopSignals() as stop:
        try:
            with progress_bar(total, "step", "training", result.steps) as bar:
                while True:
                    at_epoch_end = result.steps in epoch_ends
                    if at_epoch_end and evaluate is not None and not result.is_evaluated:
                        try:
                            scores = evaluate(stop.watched())
                        except Exception as error:
                            raise _saved(error, result, keep, save_state) from error
                        _keep_if_best(result, scores, plan.metric, keep)
                    if result.steps == total or _is_hopeless(result, plan):
                        break
                    if result.steps != saved and (at_epoch_end or result.steps % plan.state_steps == 0):
                        save_state(result)
                        saved = result.steps
                    stop.check()
                    step = result.steps
                    indices = order.batch(step)
                    rate = plan.schedule.rate(step)
                    loss = trainer.step(step, rate, *data.batch(indices), partly=step < plan.part_steps)
                    if not math.isfinite(loss) or not math.isfinite(trainer.gradient_norm):
                        sources = [data.sources[i] for i in indices]
                        raise BertFtError(_not_finite(loss, trainer.gradient_norm, step, rate, sources))
                    result.steps = step + 1
                    smoothed = loss if smoothed is None else _SMOOTHING * smoothed + (1 - _SMOOTHING) * loss
                    bar.update()
                    if not bar.disable:
                        bar.set_postfix_str(_progress(smoothed, rate, bar, plan.batch_size), refresh=False)
            result.finished = True
            result.stopped_by = stop.received
        except KeyboardInterrupt:
            result.stopped_by = stop.received or signal.SIGINT
            logger.warning("interrupted after step %d of %d", result.steps, total)
            if result.steps != saved:
                save_state(result)
        if result.best_step == 0 and result.steps > 0:
            result.best_step = result.steps
            keep(result)
    return result


def _saved(
    error: Exception,
    result: FitResult,
    keep: Callable[[FitResult], None],
    save_state: Callable[[FitResult], None],
) -> BertFtError:
    """Save what the evaluation that failed would have taken along, and make its fault one line."""
    if result.best_step == 0:
        result.best_step = result.steps
        keep(result)
    save_state(result)
    why = str(error) if isinstance(error, BertFtError) else f"{type(error).__name__}: {error}".rstrip(": ")
    return BertFtError(
        f"the evaluation after step {result.steps} failed ({why}); the weights of step {result.best_step} are kept, "
        "and the same command with --resume begins again with the evaluation"
    )


def _is_hopeless(result: FitResult, plan: Plan) -> bool:
    if plan.patience is None:
        return False
    if sum(entry["step"] > result.best_step for entry in result.history) < plan.patience:
        return False
    logger.info("step %d: stopped early, %d evaluations without a better one", result.steps, plan.patience)
    return True


def _keep_if_best(result: FitResult, scores: dict[str, Any], metric: str, keep: Callable[[FitResult], None]) -> None:
    scores = {key: value for key, value in scores.items() if isinstance(value, (int, float))}  # no table of each label
    best = not result.best or scores[metric] > result.best[metric]
    shown = ", ".join(f"{key} {value:.4f}" for key, value in scores.items() if isinstance(value, float))
    logger.info("step %d: dev %s%s", result.steps, shown, " (best so far)" if best else "")
    if best:
        previous = result.best, result.best_step
        result.best, result.best_step = scores, result.steps
        try:
            keep(result)
        except BaseException:
            result.best, result.best_step = previous
            raise
    result.history.append({"step": result.steps, **scores})


def _epoch_ends(examples: int, batch_size: int, total_steps: int) -> set[int]:
    epochs = math.ceil(total_steps * batch_size / examples)
    ends = {int(examples * epoch / batch_size) for epoch in range(1, epochs + 1)}
    return {end for end in ends if 0 < end < total_steps} | {total_steps}


def _progress(loss: float, rate: float, bar: Any, batch_size: int) -> str:
    per_second = (bar.n - bar.initial) * batch_size / max(bar.format_dict["elapsed"], 1e-9)
    return f"loss {loss:.4f}, rate {rate:.2e}, {per_second:.1f} examples/s"


def _not_finite(loss: float, norm: float, step: int, rate: float, sources: Sequence[str]) -> str:
    what = f"the norm of the gradient is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    return (
        f"{what} at step {step} with learning rate {rate:.3g}, on {', '.join(sources)}; "
        "lower --learning_rate or look at these rows"
    )
