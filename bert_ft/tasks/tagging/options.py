"""The options that tagging has beside the shared ones."""

from __future__ import annotations

from dataclasses import dataclass

from bert_ft.training.kinds import COUNT, EPOCHS, FILE, LEARNING_RATE, TEXT, Choice, Number, option
from bert_ft.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class TaggingOptions(TrainingOptions):
    """What a training of a tagger shall do; any ``task_name`` is recorded as it is given."""

    task_name: str = option("ner", TEXT, "ner, or another name to be recorded for the model.", fixed=True)
    format: str | None = option(
        None,
        Choice(("conll", "cluener", "jsonl", "tasteset")),
        "Form of the data files [default: found from their content].",
    )
    head: str = option("softmax", Choice(("softmax", "crf")), "What scores the tags.", fixed=True)
    head_learning_rate: float | None = option(
        None, LEARNING_RATE, "Peak rate of the output layer [default: --learning_rate].", fixed=True
    )
    crf_learning_rate: float = option(1e-2, LEARNING_RATE, "Peak rate of the CRF's transition scores.", fixed=True)
    layer_decay: float = option(
        1.0,
        Number(float, 0, 1, min_open=True),
        "Each layer learns at this share of the rate of the layer above it.",
        fixed=True,
    )
    freeze_epochs: float = option(
        0.0, EPOCHS, "Epochs at the start in which only the head and the top layers learn.", fixed=True
    )
    freeze_layers: int = option(1, Number(int, 0), "Top layers that learn in --freeze_epochs.", fixed=True)
    early_stopping: int | None = option(
        None,
        COUNT,
        "Stop after this many epochs without a better F1 on the development data [default: never].",
        fixed=True,
    )
    augment: int = option(
        0,
        Number(int, 0, 1000),
        "Copies of each training text in which entities are swapped for others of their type.",
        fixed=True,
    )
    train_file: str | None = option(None, FILE, "Training data, below --data_dir [default: train.* or *.train].")
    dev_file: str | None = option(None, FILE, "Development data [default: dev.*, val.* or *.dev].")
    test_file: str | None = option(None, FILE, "Test data [default: test.* or *.test].")
    holdout: float = option(
        0.0,
        Number(float, 0, 1, max_open=True),
        "Share of the training texts held out as development data where there is no file of it.",
        fixed=True,
    )
