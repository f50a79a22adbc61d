"""The options that every training shares: Google's names and defaults."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from bert_ft.errors import BertFtError
from bert_ft.files.names import readable
from bert_ft.training.kinds import (
    COUNT,
    FILE,
    FOLDER,
    LEARNING_RATE,
    NOT_OF_THE_KIND,
    SEED,
    SOME_EPOCHS,
    SWITCH,
    TEXT,
    Choice,
    Number,
    OptionError,
    option,
)

_SAY_HOW = ("resume", "overwrite")  # and not what is trained


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a training shall do; a family of tasks adds its own options in a subclass.

    Paths may be given as str or Path; values are held as annotated. With no ``do_`` option the model is trained and
    evaluated; as soon as one is given, Google's rule holds and the others are false.

    Raises:
        OptionError: a value is none that the option takes.
        BertFtError: nothing is to be done, or a training to be resumed that is not to be done.

    Example:
        >>> options = TrainingOptions(task_name="emotion", do_eval=True)
        >>> options.do_train, options.max_seq_length, options.output_dir.name
        (False, 128, 'output')
    """

    task_name: str = option(MISSING, TEXT, "Name of the task.", fixed=True)
    data_dir: Path = option("data", FOLDER, "Folder of the data files.")
    output_dir: Path = option("output", FOLDER, "Folder the model and the results are written to.")
    init_checkpoint: str | None = option(
        None, FILE, "Checkpoint prefix or model folder to start from [default: the one below this folder]."
    )
    vocab_file: str | None = option(None, FILE, "Vocabulary [default: vocab.txt beside the checkpoint].")
    bert_config_file: str | None = option(
        None, FILE, "Shape of the network [default: bert_config.json beside the checkpoint]."
    )
    do_lower_case: bool | None = option(
        None, SWITCH, "Lower-case text and strip accents [default: as the checkpoint's folder says]."
    )
    do_train: bool = option(None, SWITCH, "Train [default: true when no --do_ flag is given].")
    do_eval: bool = option(
        None, SWITCH, "Score on the development data [default: true when no --do_ flag is given].", fixed=True
    )
    do_predict: bool = option(None, SWITCH, "Write test_results.tsv for the test data [default: false].")
    max_seq_length: int = option(
        128, COUNT, "Longest input in word pieces, special tokens included; longer text is cut.", fixed=True
    )
    train_batch_size: int = option(32, COUNT, "Examples a training step.", fixed=True)
    eval_batch_size: int = option(32, COUNT, "Examples a forward pass in evaluation; does not change the scores.")
    predict_batch_size: int = option(32, COUNT, "Examples a forward pass in prediction; does not change the scores.")
    learning_rate: float = option(5e-5, LEARNING_RATE, "Peak learning rate of Adam.", fixed=True)
    num_train_epochs: float = option(3.0, SOME_EPOCHS, "Passes over the training data; may be a fraction.", fixed=True)
    warmup_proportion: float = option(
        0.1, Number(float, 0, 1), "Share of the steps in which the rate rises linearly from 0.", fixed=True
    )
    seed: int = option(12345, SEED, "Decides shuffling, dropout and the new head's weights.", fixed=True)
    on_bad_row: str = option(
        "error",
        Choice(("error", "skip")),
        "What to do about a row that cannot be used: stop, or leave it out and say so.",
    )
    save_checkpoints_steps: int = option(
        1000, COUNT, "Steps after which, beside every epoch, the state for --resume is saved."
    )
    resume: bool = option(
        False, SWITCH, "Continue the unfinished training in --output_dir at the step it had reached [default: false]."
    )
    overwrite: bool = option(
        False, SWITCH, "Replace the model in --output_dir though another command made it [default: false]."
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value, kind = getattr(self, one.name), one.metadata["kind"]
            if value is None and one.default is None:
                continue
            try:
                self._set(one.name, kind.convert(value))
            except NOT_OF_THE_KIND:
                raise OptionError(f"{one.name} {value!r} is not {kind.description}") from None
        by_default = self.do_train is self.do_eval is self.do_predict is None
        for name in ("do_train", "do_eval", "do_predict"):
            self._set(name, bool(getattr(self, name)) or (by_default and name != "do_predict"))
        if not (self.do_train or self.do_eval or self.do_predict):
            raise BertFtError("nothing to do: give at least one of --do_train, --do_eval and --do_predict")
        if self.resume and not self.do_train:
            raise BertFtError("--resume continues a training: give --do_train too, or leave --resume out")

    def _set(self, name: str, value: Any) -> None:
        """What is given becomes what is held; only while the object is made."""
        object.__setattr__(self, name, value)

    def record(self) -> dict[str, Any]:
        """JSON values for bert_ft.json; the same for a training that was resumed."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _SAY_HOW}
        return {key: readable(str(value)) if isinstance(value, (Path, str)) else value for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """Those that must be the same for a training to be resumed, by their names on the command line."""
        return {f"--{one.name}": getattr(self, one.name) for one in fields(self) if one.metadata["fixed"]}
