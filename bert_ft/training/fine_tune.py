"""What every task's run has in common: train a model with a head into the output directory, and open it again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

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
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.training.loop import FitResult, Plan, TrainingSet, fit
from bert_ft.training.optimizer import slot_shapes
from bert_ft.training.options import TrainingOptions
from bert_ft.training.replacing import refuse_foreign_model
from bert_ft.training.schedule import Schedule
from bert_ft.training.starting_point import StartingPoint
from bert_ft.training.step import Trainer
from bert_ft.training.training_state import TrainingState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What a task adds to the training that all share.

    Attributes:
        labels: of the head, in id order.
        evaluate: development metrics of a model, or None to keep the last weights.
        metric, patience: as of a :class:`Plan`.
        rate_factors: what a variable's learning rate is multiplied with, by name.
        is_trained_first: which variables the first ``part_epochs`` train, by name.
        head_options: further entries of bert_ft.json.
        development_checksum: tells the data that ``evaluate`` scores from others.
    """

    head: Head
    labels: list[str]
    data: TrainingSet
    evaluate: Callable[[BertModel, Progress], dict[str, Any]] | None
    metric: str
    patience: int | None = None
    part_epochs: float = 0.0
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    is_trained_first: Callable[[str], bool] = lambda name: True
    head_options: Mapping[str, Any] = field(default_factory=dict)
    development_checksum: str | None = None

    def identity(self) -> dict[str, Any]:
        """What must be the same for a training to be resumed, by the name a user knows it by."""
        return {
            "head": self.head.name,
            "labels": self.labels,
            "training data": self.data.checksum(),
            "development data": self.development_checksum,
        }


def starting_point(options: TrainingOptions) -> StartingPoint:
    """Where the training starts.

    Raises:
        BertFtError: an option cannot be met, or the output directory holds what may not be replaced; seen before any
            data are read.
    """
    TrainingState(options.output_dir).prepare(options.resume)
    files = options.init_checkpoint, options.vocab_file, options.bert_config_file
    start = StartingPoint.resolve(*files, options.do_lower_case, options.output_dir)
    refuse_source(options.output_dir, start.checkpoint, "another --output_dir")
    if not options.resume and not options.overwrite:
        refuse_foreign_model(options.output_dir, options.record())
    _check_length(options, start)
    return start


def fine_tune(options: TrainingOptions, start: StartingPoint, recipe: Recipe) -> tuple[FitResult, dict[str, Any]]:
    """Train and save into ``options.output_dir``.

    Returns:
        how it went, and the "train" entry of metrics.json.

    Raises:
        BertFtError: the state to resume from is of another training; the loss is no number; the disk is full.
    """
    plan = _plan(options, recipe)
    state = TrainingState(options.output_dir)
    identity = {**options.identity(), **start.identity(), **recipe.identity()}
    done: FitResult | None = None
    moments: dict[str, np.ndarray] = {}
    if options.resume:
        shapes = encoder_shapes(start.config) | recipe.head.shapes(start.config)
        done, saved = state.load(shapes | slot_shapes(shapes), identity)
        weights = {name: saved[name] for name in shapes}
        moments = {name: saved[name] for name in slot_shapes(shapes)}
        logger.info("continuing after step %d of %d", done.steps, plan.schedule.total_steps)
    else:
        weights = start.weights(recipe.head, recipe.labels, options.seed)
        state.start_anew()
    model = BertModel(start.config, recipe.head, weights)
    trainer = Trainer(model, options.seed, rate_factors=recipe.rate_factors, is_trained_first=recipe.is_trained_first)
    trainer.optimizer.assign(moments)
    evaluate = recipe.evaluate

    def keep(result: FitResult) -> None:
        metadata = ModelMetadata(
            task=options.task_name,
            head=recipe.head.name,
            labels=recipe.labels,
            max_seq_length=options.max_seq_length,
            do_lower_case=start.do_lower_case,
            head_options=dict(recipe.head_options),
            metrics={"step": result.best_step, "dev": result.best},
            flags=options.record(),
        )
        save_model_directory(options.output_dir, model.variables, start.config, start.vocab_file, metadata)

    def save_state(result: FitResult) -> None:
        state.save(result, {**model.variables, **trainer.optimizer.slots}, identity)

    began = time.monotonic()
    result = fit(
        trainer,
        recipe.data,
        plan,
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
        logger.info("the weights of step %d are in %s", result.best_step, options.output_dir)
    return result, {
        "examples": len(recipe.data.features),
        "steps": result.steps,
        "seconds": time.monotonic() - began,
        "best_step": result.best_step,
        "history": result.history,
    }


def _plan(options: TrainingOptions, recipe: Recipe) -> Plan:
    examples, size = len(recipe.data.features), options.train_batch_size
    return Plan(
        Schedule.plan(options.learning_rate, examples, size, options.num_train_epochs, options.warmup_proportion),
        size,
        options.seed,
        recipe.metric,
        part_steps=int(examples / size * recipe.part_epochs),
        patience=recipe.patience,
        state_steps=options.save_checkpoints_steps,
    )


class Trained(NamedTuple):
    """A model that can be scored."""

    model: BertModel
    tokenizer: FullTokenizer
    metadata: ModelMetadata


def open_trained(options: TrainingOptions, head_name: str) -> Trained:
    """The model in the output directory or, when that has none, the one --init_checkpoint names.

    Raises:
        BertFtError: neither has a head of this name, or it has fewer positions than --max_seq_length.
    """
    source = str(options.output_dir)
    if not (options.output_dir / METADATA_FILE).is_file():
        if options.init_checkpoint is None:
            raise BertFtError(f"{options.output_dir}: has no trained model to score; give --do_train first")
        source = options.init_checkpoint
    start = StartingPoint.resolve(source, None, None, options.do_lower_case, Path())
    reader = CheckpointReader(start.checkpoint)
    head, _ = stored_head(start.metadata, reader.shapes)
    if start.metadata is None or head is None or head.name != head_name:
        raise BertFtError(f"{source}: has no {head_name} head; give --do_train first")
    _check_length(options, start)
    weights = reader.load(encoder_shapes(start.config) | head.shapes(start.config))
    options.output_dir.mkdir(parents=True, exist_ok=True)
    return Trained(BertModel(start.config, head, weights), start.tokenizer, start.metadata)


def _check_length(options: TrainingOptions, start: StartingPoint) -> None:
    """Raises BertFtError if --max_seq_length is more than the model has positions."""
    limit = start.config.max_position_embeddings
    if options.max_seq_length > limit:
        raise BertFtError(f"--max_seq_length={options.max_seq_length} is more than the model's {limit} positions")
