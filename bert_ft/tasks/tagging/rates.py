"""The flags that run_ner has beside the shared ones, and what they mean for each variable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import click

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_index
from bert_ft.flags.legacy import AddedOption, GivenPath
from bert_ft.flags.ranges import COUNT, EPOCHS, LEARNING_RATE, Between

CRF_SCOPE = "crf/"


@dataclass(frozen=True)
class TaggingFlags:
    """Resolved values; see the options' help."""

    format: str | None
    head: str
    head_learning_rate: float | None
    crf_learning_rate: float
    layer_decay: float
    freeze_epochs: float
    freeze_layers: int
    early_stopping: int | None
    augment: int
    train_file: str | None
    dev_file: str | None
    test_file: str | None
    holdout: float

    @classmethod
    def resolve(cls, values: dict[str, Any]) -> TaggingFlags:
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def record(self) -> dict[str, Any]:
        """JSON values for bert_ft.json."""
        return asdict(self)

    def rate_factors(self, names: list[str], config: BertConfig, learning_rate: float) -> dict[str, float]:
        """What each variable's rate is multiplied with.

        A layer has ``layer_decay`` times the rate of the one above it, the embeddings once more (layer-wise learning
        rate decay, Howard & Ruder 2018, arXiv:1801.06146 §3.2).
        """
        factors = {}
        for name in names:
            layer = layer_index(name)
            if name.startswith(CRF_SCOPE):
                factors[name] = self.crf_learning_rate / learning_rate
            elif name.startswith("output_"):
                factors[name] = (self.head_learning_rate or learning_rate) / learning_rate
            elif layer is not None:
                factors[name] = self.layer_decay ** (config.num_hidden_layers - 1 - layer)
            elif name.startswith("bert/embeddings/"):
                factors[name] = self.layer_decay**config.num_hidden_layers
        return factors

    def is_trained_first(self, config: BertConfig) -> Callable[[str], bool]:
        """Whether a variable is trained while the rest is frozen: the head, and the top layers."""
        lowest = config.num_hidden_layers - self.freeze_layers

        def trained(name: str) -> bool:
            layer = layer_index(name)
            return not name.startswith("bert/") if layer is None else layer >= lowest

        return trained


def tagging_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a click command with these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _added(name: str, **attributes: Any) -> Any:
    return click.option(f"--{name}", cls=AddedOption, **attributes)


_OPTIONS = [
    _added(
        "format",
        type=click.Choice(["conll", "cluener", "jsonl", "tasteset"]),
        help="Form of the data files [default: found from their content].",
    ),
    _added("head", type=click.Choice(["softmax", "crf"]), default="softmax", help="What scores the tags."),
    _added("head_learning_rate", type=LEARNING_RATE, help="Peak rate of the output layer [default: --learning_rate]."),
    _added("crf_learning_rate", type=LEARNING_RATE, default=1e-2, help="Peak rate of the CRF's transition scores."),
    _added(
        "layer_decay",
        type=Between(0, 1, min_open=True),
        default=1.0,
        help="Each layer learns at this share of the rate of the layer above it.",
    ),
    _added(
        "freeze_epochs",
        type=EPOCHS,
        default=0.0,
        help="Epochs at the start in which only the head and the top layers learn.",
    ),
    _added("freeze_layers", type=click.IntRange(min=0), default=1, help="Top layers that learn in --freeze_epochs."),
    _added(
        "early_stopping",
        type=COUNT,
        help="Stop after this many epochs without a better F1 on the development data [default: never].",
    ),
    _added(
        "augment",
        type=click.IntRange(0, 1000),
        default=0,
        help="Copies of each training text in which entities are swapped for others of their type.",
    ),
    _added("train_file", type=GivenPath(), help="Training data, below --data_dir [default: train.* or *.train]."),
    _added("dev_file", type=GivenPath(), help="Development data [default: dev.*, val.* or *.dev]."),
    _added("test_file", type=GivenPath(), help="Test data [default: test.* or *.test]."),
    _added(
        "holdout",
        type=Between(0, 1, max_open=True),
        default=0.0,
        help="Share of the training texts held out as development data where there is no file of it.",
    ),
]
