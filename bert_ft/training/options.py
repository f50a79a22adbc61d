"""The flags that every training command shares: Google's names and defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import click

from bert_ft.errors import BertFtError
from bert_ft.files.names import readable
from bert_ft.flags.legacy import AddedOption, GivenPath
from bert_ft.flags.ranges import COUNT, LEARNING_RATE, SEED, SOME_EPOCHS, Between

_IDENTITY = (
    "do_eval",
    "max_seq_length",
    "train_batch_size",
    "learning_rate",
    "num_train_epochs",
    "warmup_proportion",
    "seed",
)
_SAY_HOW = ("resume", "overwrite")  # and not what is trained
_DO_FLAGS = ("do_train", "do_eval", "do_predict")


@dataclass(frozen=True)
class TrainingFlags:
    """Resolved values of the shared flags; units as in their help."""

    data_dir: Path
    output_dir: Path
    init_checkpoint: str | None
    vocab_file: str | None
    bert_config_file: str | None
    do_lower_case: bool | None
    do_train: bool
    do_eval: bool
    do_predict: bool
    max_seq_length: int
    train_batch_size: int
    eval_batch_size: int
    predict_batch_size: int
    learning_rate: float
    num_train_epochs: float
    warmup_proportion: float
    seed: int
    on_bad_row: str
    save_checkpoints_steps: int = 1000
    resume: bool = False
    overwrite: bool = False

    @classmethod
    def resolve(cls, values: dict[str, Any]) -> TrainingFlags:
        """Take the shared flags out of a command's values.

        With no --do_ flag the model is trained and evaluated; as soon as one is given, Google's rule holds and the
        others are false.
        """
        resolved = dict(values)
        if all(values[name] is None for name in _DO_FLAGS):
            resolved |= {"do_train": True, "do_eval": True, "do_predict": False}
        for name in _DO_FLAGS:
            resolved[name] = bool(resolved[name])
        if not any(resolved[name] for name in _DO_FLAGS):
            raise BertFtError("nothing to do: give at least one of --do_train, --do_eval and --do_predict")
        for name in _SAY_HOW:
            resolved[name] = bool(resolved[name])
        if resolved["resume"] and not resolved["do_train"]:
            raise BertFtError("--resume continues a training: give --do_train too, or leave --resume out")
        for name in ("data_dir", "output_dir"):
            resolved[name] = Path(resolved[name])
        return cls(**{field.name: resolved[field.name] for field in fields(cls)})

    def record(self) -> dict[str, Any]:
        """JSON values for bert_ft.json; the same for a training that was resumed."""
        values = {key: value for key, value in asdict(self).items() if key not in _SAY_HOW}
        return {key: readable(str(value)) if isinstance(value, (Path, str)) else value for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """Those that must be the same for a training to be resumed, by their names on the command line."""
        return {f"--{name}": getattr(self, name) for name in _IDENTITY}


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a click command with the shared flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _path(name: str, help: str, default: Any = None) -> Any:
    return click.option(f"--{name}", type=GivenPath(), default=default, help=help)


def _switch(name: str, help: str, cls: type[click.Option] = click.Option) -> Any:
    return click.option(f"--{name}", cls=cls, type=bool, is_flag=False, flag_value="true", default=None, help=help)


def _count(name: str, default: int, help: str) -> Any:
    return click.option(f"--{name}", type=COUNT, default=default, help=help)


_OPTIONS = [
    _path("data_dir", "Folder of the data files.", "data"),
    _path("output_dir", "Folder the model and the results are written to.", "output"),
    _path(
        "init_checkpoint",
        "Checkpoint prefix or model folder to start from [default: the one below this folder].",
    ),
    _path("vocab_file", "Vocabulary [default: vocab.txt beside the checkpoint]."),
    _path("bert_config_file", "Shape of the network [default: bert_config.json beside the checkpoint]."),
    _switch("do_lower_case", "Lower-case text and strip accents [default: as the checkpoint's folder says]."),
    _switch("do_train", "Train [default: true when no --do_ flag is given]."),
    _switch("do_eval", "Score on the development data [default: true when no --do_ flag is given]."),
    _switch("do_predict", "Write test_results.tsv for the test data [default: false]."),
    _count("max_seq_length", 128, "Longest input in word pieces, special tokens included; longer text is cut."),
    _count("train_batch_size", 32, "Examples a training step."),
    _count("eval_batch_size", 32, "Examples a forward pass in evaluation; does not change the scores."),
    _count("predict_batch_size", 32, "Examples a forward pass in prediction; does not change the scores."),
    click.option(
        "--learning_rate",
        type=LEARNING_RATE,
        default=5e-5,
        help="Peak learning rate of Adam.",
    ),
    click.option(
        "--num_train_epochs",
        type=SOME_EPOCHS,
        default=3.0,
        help="Passes over the training data; may be a fraction.",
    ),
    click.option(
        "--warmup_proportion",
        type=Between(0, 1),
        default=0.1,
        help="Share of the steps in which the rate rises linearly from 0.",
    ),
    _count("save_checkpoints_steps", 1000, "Steps after which, beside every epoch, the state for --resume is saved."),
    _switch(
        "resume",
        "Continue the unfinished training in --output_dir at the step it had reached [default: false].",
        cls=AddedOption,
    ),
    _switch(
        "overwrite",
        "Replace the model in --output_dir though another command made it [default: false].",
        cls=AddedOption,
    ),
    click.option(
        "--seed",
        cls=AddedOption,
        type=SEED,
        default=12345,
        help="Decides shuffling, dropout and the new head's weights.",
    ),
    click.option(
        "--on_bad_row",
        cls=AddedOption,
        type=click.Choice(["error", "skip"]),
        default="error",
        help="What to do about a row that cannot be used: stop, or leave it out and say so.",
    ),
]
