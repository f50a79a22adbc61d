"""What every task's run has in common: train a model with a head into the output directory, and open it again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import METADATA_FILE, ModelMetadata
from bert_ft.checkpoint.overwrite import refuse_source
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.errors import BertFtError
from bert_ft.logs import Progress
from bert_ft.model.heads import Head, stored_head
from bert_ft.model.trainable import BertModel
from bert_ft.training.loop import FitResult, Plan, TrainingSet, fit
from bert_ft.training.optimizer import slot_shapes
from bert_ft.training.options import TrainingFlags
from bert_ft.training.replacing import refuse_foreign_model
from bert_ft.training.starting_point import StartingPoint
from bert_ft.training.step import Trainer
from bert_ft.training.training_state import TrainingState

logger = logging.getLogger(__name__)

_COLUMNS = {"label_column", "text_column", "text_b_column"}
_DATA_FLAGS = {"format", "train_file", "dev_file", "test_file", "labels", *_COLUMNS}
"""What is read by them is compared instead."""


@dataclass(frozen=True)
class Recipe:
    """What a task adds to the training that all share.

    Attributes:
        task: its name, as recorded in bert_ft.json.
        labels: of the head, in id order.
        evaluate: development metrics of a model, or None to keep the last weights.
        rate_factors: what a variable's learning rate is multiplied with, by name.
        is_trained_first: which variables the plan's first ``part_steps`` train, by name.
        head_options, flags: further entries of bert_ft.json.
        development_checksum: tells the data that ``evaluate`` scores from others.
    """

    task: str
    head: Head
    labels: list[str]
    data: TrainingSet
    plan: Plan
    evaluate: Callable[[BertModel, Progress], dict[str, Any]] | None
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    is_trained_first: Callable[[str], bool] = lambda name: True
    head_options: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    development_checksum: str | None = None

    def identity(self) -> dict[str, Any]:
        """What must be the same for a training to be resumed, by the name a user knows it by."""
        return {
            "--task_name": self.task,
            "head": self.head.name,
            **{f"--{name}": value for name, value in self.flags.items() if name not in _DATA_FLAGS},
            "labels": self.labels,
            "training data": self.data.checksum(),
            "development data": self.development_checksum,
        }


def starting_point(flags: TrainingFlags, task: str, own_flags: Mapping[str, Any]) -> StartingPoint:
    """Where the training starts.

    Args:
        task, own_flags: as in the :class:`Recipe` that will be trained.

    Raises:
        BertFtError: a flag cannot be met, or the output directory holds what may not be replaced; seen before any data
            are read.
    """
    TrainingState(flags.output_dir).prepare(flags.resume)
    start = StartingPoint.of(flags)
    refuse_source(flags.output_dir, start.checkpoint, "another --output_dir")
    if not flags.resume and not flags.overwrite:
        refuse_foreign_model(flags.output_dir, _record(flags, task, own_flags))
    check_length(flags, start)
    return start


def fine_tune(flags: TrainingFlags, start: StartingPoint, recipe: Recipe) -> tuple[FitResult, dict[str, Any]]:
    """Train and save into ``flags.output_dir``.

    Returns:
        how it went, and the "train" entry of metrics.json.

    Raises:
        BertFtError: the state to resume from is of another training; the loss is no number; the disk is full.
    """
    state = TrainingState(flags.output_dir)
    identity = {**flags.identity(), **start.identity(), **recipe.identity()}
    done: FitResult | None = None
    moments: dict[str, np.ndarray] = {}
    if flags.resume:
        shapes = encoder_shapes(start.config) | recipe.head.shapes(start.config)
        done, saved = state.load(shapes | slot_shapes(shapes), identity)
        weights = {name: saved[name] for name in shapes}
        moments = {name: saved[name] for name in slot_shapes(shapes)}
        logger.info("continuing after step %d of %d", done.steps, recipe.plan.schedule.total_steps)
    else:
        weights = start.weights(recipe.head, recipe.labels, flags.seed)
        state.start_anew()
    model = BertModel(start.config, recipe.head, weights)
    trainer = Trainer(model, flags.seed, rate_factors=recipe.rate_factors, is_trained_first=recipe.is_trained_first)
    trainer.optimizer.assign(moments)
    evaluate = recipe.evaluate

    def keep(result: FitResult) -> None:
        metadata = ModelMetadata(
            task=recipe.task,
            head=recipe.head.name,
            labels=recipe.labels,
            max_seq_length=flags.max_seq_length,
            do_lower_case=start.do_lower_case,
            head_options=dict(recipe.head_options),
            metrics={"step": result.best_step, "dev": result.best},
            flags=_record(flags, recipe.task, recipe.flags),
        )
        save_model_directory(flags.output_dir, model.variables, start.config, start.vocab_file, metadata)

    def save_state(result: FitResult) -> None:
        state.save(result, {**model.variables, **trainer.optimizer.slots}, identity)

    began = time.monotonic()
    result = fit(
        trainer,
        recipe.data,
        replace(recipe.plan, state_steps=flags.save_checkpoints_steps),
        (lambda progress: evaluate(model, progress)) if evaluate else None,
        keep,
        save_state,
        done,
    )
    if result.finished:
        state.remove()
    elif state.step:
        logger.info("the same command with --resume continues after step %d", state.step)
    if result.steps:
        logger.info("the weights of step %d are in %s", result.best_step, flags.output_dir)
    return result, {
        "examples": len(recipe.data.features),
        "steps": result.steps,
        "seconds": time.monotonic() - began,
        "best_step": result.best_step,
        "history": result.history,
    }


def open_trained(flags: TrainingFlags, head_name: str) -> tuple[StartingPoint, BertModel, ModelMetadata]:
    """The model in the output directory or, when that has none, the one --init_checkpoint names.

    Raises:
        BertFtError: neither has a head of this name.
    """
    source = str(flags.output_dir)
    if not (flags.output_dir / METADATA_FILE).is_file():
        if flags.init_checkpoint is None:
            raise BertFtError(f"{flags.output_dir}: has no trained model to score; give --do_train first")
        source = flags.init_checkpoint
    start = StartingPoint.resolve(source, None, None, flags.do_lower_case, Path())
    reader = CheckpointReader(start.checkpoint)
    head, _ = stored_head(start.metadata, reader.shapes)
    if start.metadata is None or head is None or head.name != head_name:
        raise BertFtError(f"{source}: has no {head_name} head; give --do_train first")
    weights = reader.load(encoder_shapes(start.config) | head.shapes(start.config))
    flags.output_dir.mkdir(parents=True, exist_ok=True)
    return start, BertModel(start.config, head, weights), start.metadata


def _record(flags: TrainingFlags, task: str, own_flags: Mapping[str, Any]) -> dict[str, Any]:
    """The "flags" entry of bert_ft.json."""
    return {"task_name": task, **flags.record(), **own_flags}


def check_length(flags: TrainingFlags, start: StartingPoint) -> None:
    """Raises BertFtError if --max_seq_length is more than the model has positions."""
    limit = start.config.max_position_embeddings
    if flags.max_seq_length > limit:
        raise BertFtError(f"--max_seq_length={flags.max_seq_length} is more than the model's {limit} positions")
