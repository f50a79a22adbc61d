"""Which files and columns each classification task has: Google's, and label/text files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bert_ft.data.columns import Column


@dataclass(frozen=True)
class Columns:
    """None where the file has no such column; only the "tsv" task's may be names."""

    text_a: Column
    text_b: Column | None = None
    label: Column | None = None

    @property
    def least(self) -> int:
        """How many columns a row must have."""
        used = [column for column in (self.text_a, self.text_b, self.label) if isinstance(column, int)]
        return max(column + 1 if column >= 0 else -column for column in used)


@dataclass(frozen=True)
class FileFormat:
    """One split of a task.

    Attributes:
        name: path below the data directory.
        header: whether the first line is a header; None to find out.
        exact: every row has as many columns as the first, rather than at least as many as are used.
        keep: what the first cell of a row is; the others belong to another set and are passed over.
        relabel: labels that are written differently in this file.
        any_order: the label may be the first or the second column, or lack; the rows show which.
        by_name: the first row may name the columns.
    """

    name: str
    columns: Columns
    header: bool | None = None
    exact: bool = False
    keep: str | None = None
    relabel: Mapping[str, str] = field(default_factory=dict)
    any_order: bool = False
    by_name: bool = False


@dataclass(frozen=True)
class TaskFiles:
    """The splits of a task; of several formats the first whose file exists is read.

    Attributes:
        labels: label names in id order, or None to take them from the training data.
    """

    train: tuple[FileFormat, ...]
    dev: tuple[FileFormat, ...]
    test: tuple[FileFormat, ...] = ()
    labels: tuple[str, ...] | None = None


LABEL_TEXT = Columns(text_a=1, label=0)
_TEXT_LABEL = Columns(text_a=0, label=1)


def _label_text_task() -> TaskFiles:
    def split(*names: str) -> tuple[FileFormat, ...]:
        return tuple(FileFormat(name, LABEL_TEXT, exact=True) for name in names)

    return TaskFiles(
        train=split("fine_tuning_train_data.tsv", "train.tsv"),
        dev=split("fine_tuning_val_data.tsv", "dev.tsv"),
        test=(
            FileFormat("fine_tuning_test_data.tsv", _TEXT_LABEL, exact=True, any_order=True),
            FileFormat("test.tsv", LABEL_TEXT, exact=True, any_order=True),
        ),
    )


def _google_task(train: FileFormat, dev: FileFormat, test: FileFormat | None, labels: tuple[str, ...]) -> TaskFiles:
    return TaskFiles((train,), (dev,), (test,) if test else (), labels)


_COLA = Columns(text_a=3, label=1)
_MRPC = Columns(text_a=3, text_b=4, label=0)
_MNLI = Columns(text_a=8, text_b=9, label=-1)

TASKS: Mapping[str, TaskFiles] = {
    "emotion": _label_text_task(),
    "intentdetection": _label_text_task(),
    "cola": _google_task(
        FileFormat("train.tsv", _COLA, header=False),
        FileFormat("dev.tsv", _COLA, header=False),
        FileFormat("test.tsv", Columns(text_a=1), header=True),
        ("0", "1"),
    ),
    "mrpc": _google_task(
        FileFormat("train.tsv", _MRPC, header=True),
        FileFormat("dev.tsv", _MRPC, header=True),
        FileFormat("test.tsv", Columns(text_a=3, text_b=4), header=True),
        ("0", "1"),
    ),
    "mnli": _google_task(
        FileFormat("train.tsv", _MNLI, header=True),
        FileFormat("dev_matched.tsv", _MNLI, header=True),
        FileFormat("test_matched.tsv", Columns(text_a=8, text_b=9), header=True),
        ("contradiction", "entailment", "neutral"),
    ),
    "xnli": _google_task(
        FileFormat(
            "multinli/multinli.train.zh.tsv",
            Columns(text_a=0, text_b=1, label=2),
            header=True,
            relabel={"contradictory": "contradiction"},
        ),
        FileFormat(
            "xnli.dev.tsv",
            Columns(text_a=6, text_b=7, label=1),
            header=True,
            keep="zh",
            relabel={"contradictory": "contradiction"},
        ),
        None,
        ("contradiction", "entailment", "neutral"),
    ),
}


def custom_task(train: str, dev: str, test: str, columns: Columns) -> TaskFiles:
    """The "tsv" task: any table with a label column and one or two text columns."""

    def split(name: str) -> tuple[FileFormat, ...]:
        return (FileFormat(name, columns, exact=True, by_name=True),)

    return TaskFiles(split(train), split(dev), split(test))
