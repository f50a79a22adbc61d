"""Single texts or pairs, one label each: reading the data and scoring the answers."""

from __future__ import annotations

import logging
import re
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bert_ft.data.columns import LABEL, TEXT, Column, find_column, known_column, plain_name
from bert_ft.data.rows import BadRows
from bert_ft.data.splits import find_named
from bert_ft.data.tables import cells, first_row, place_of, read_table
from bert_ft.errors import BertFtError
from bert_ft.shown import first_of
from bert_ft.tasks.classification.files import LABEL_TEXT, Columns, FileFormat, TaskFiles

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)

_HEADER_WORDS = {*LABEL, *TEXT}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class TextExample(NamedTuple):
    """One row of a data file; ``label`` is None where the file has none."""

    text_a: str
    text_b: str | None
    label: str | None
    line: int


@dataclass(frozen=True)
class LabelledTexts:
    """A split that was read: its file, its examples, and their class ids (None where the file has no labels)."""

    path: Path
    examples: list[TextExample]
    label_ids: np.ndarray | None

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        return [(example.text_a, example.text_b) for example in self.examples]


def read_training_split(
    data_dir: Path, files: TaskFiles, labels: Sequence[str] | None, bad_rows: BadRows
) -> tuple[LabelledTexts, list[str]]:
    """Read the training data and settle the labels.

    Args:
        labels: what the user gave, in id order; None takes the task's own, else those of the data in sorted order.
    """
    wanted = list(labels or files.labels or [])
    path, examples = _read_examples(data_dir, files.train, wanted, bad_rows)
    found = sort_labels({example.label for example in examples if example.label is not None})
    if not wanted and len(found) < 2:
        raise BertFtError(f"{path}: only one label, {found[0]!r}; a classifier needs two or more")
    chosen = wanted or found
    return LabelledTexts(path, examples, _label_ids(examples, chosen)), chosen


def read_split(
    data_dir: Path, formats: Sequence[FileFormat], labels: Sequence[str], bad_rows: BadRows
) -> LabelledTexts:
    """Read development or test data; a label that training does not know is a bad row."""
    path, examples = _read_examples(data_dir, formats, labels, bad_rows)
    lacking = [example for example in examples if example.label is None]
    if lacking and len(lacking) < len(examples):
        raise BertFtError(f"{path}:{lacking[0].line}: this row has no label but others have; label all or none")
    return LabelledTexts(path, examples, None if lacking else _label_ids(examples, labels))


def sort_labels(labels: set[str]) -> list[str]:
    """Numbers in numeric order when all are numbers, else by code point."""
    if all(_NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)


def _label_ids(examples: Sequence[TextExample], labels: Sequence[str]) -> np.ndarray:
    ids = {label: index for index, label in enumerate(labels)}
    return np.array([ids[example.label or ""] for example in examples], np.int32)


def _read_examples(
    data_dir: Path, formats: Sequence[FileFormat], labels: Sequence[str], bad_rows: BadRows
) -> tuple[Path, list[TextExample]]:
    forms = {form.name: form for form in formats}
    name = find_named(data_dir, forms)
    path = data_dir / name
    table = read_table(path, bad_rows)
    known = dict.fromkeys(labels)  # in order, and found at once
    form = _fit_columns(path, table, forms[name], known)
    table = _without_header(path, table, form)
    widths = table["width"].tolist()
    width, least = statistics.mode(widths) if widths else 0, form.columns.least
    examples = []
    fault: str | None
    for count, example in zip(widths, _examples(table, form), strict=True):
        if form.exact and count != width:
            fault = f"{count} columns where the file has {width}"
        elif count < least:
            fault = f"{count} columns where {least} are needed"
        else:
            fault = _content_fault(example, known)
        if fault:
            bad_rows.report(path, example.line, fault)
        else:
            examples.append(example)
    bad_rows.summarize(path, len(examples))
    return path, examples


def _fit_columns(path: Path, table: DataFrame, form: FileFormat, labels: Collection[str]) -> FileFormat:
    """The columns of a file by the names in its first row, or, if a test file, by what its rows hold."""
    if form.by_name:
        return _named_columns(path, table, form)
    if not form.any_order:
        return form
    if (table["width"] == 1).all():
        return replace(form, columns=Columns(text_a=0))
    hits = [sum(cell.strip() in labels for cell in cells(table, c)) for c in (0, 1)]
    columns = Columns(text_a=1, label=0) if hits[0] > hits[1] else Columns(text_a=0, label=1)
    if any(hits) and columns != form.columns:
        logger.info("%s: the label stands in column %d", path, int(columns.label or 0) + 1)
        return replace(form, columns=columns)
    return form


def _named_columns(path: Path, table: DataFrame, form: FileFormat) -> FileFormat:
    """Columns given by name; and those left at their defaults by known names, if the first row certainly has names."""
    names, given = first_row(table), form.columns
    named = table["line"].iloc[0] == 0 or any(
        isinstance(column, str) for column in (given.text_a, given.text_b, given.label)
    )
    label, text = known_column(names, LABEL), known_column(names, TEXT)
    if not named and (given != LABEL_TEXT or label is None or text is None):
        return form

    def number(option: str, column: Column | None, default: Column | None, known: int | None) -> int:
        if column == default and (known is not None or given == LABEL_TEXT):
            column = known
        return find_column(names, column, option, place_of(path, table))

    columns = Columns(
        number("text_column", given.text_a, LABEL_TEXT.text_a, text),
        None if given.text_b is None else number("text_b_column", given.text_b, None, None),
        number("label_column", given.label, LABEL_TEXT.label, label),
    )
    return replace(form, columns=columns, header=named or columns != given or None)


def _without_header(path: Path, table: DataFrame, form: FileFormat) -> DataFrame:
    header = form.header
    if header is None:
        header = _looks_like_header(table, form.columns)
        if header:
            logger.info("%s:%d: header line found: %s", path, table["line"].iloc[0], " | ".join(first_row(table)))
    table = table.iloc[1:] if header else table
    return table if form.keep is None else table[table[0] == form.keep]


def _looks_like_header(table: DataFrame, columns: Columns) -> bool:
    """A first line made of column names, whose label stands in no other row."""
    first = [plain_name(cell) for cell in first_row(table)]
    if columns.label is None or columns.least > len(first):
        return all(name in _HEADER_WORDS for name in first)
    label, text = int(columns.label), int(columns.text_a)
    rows = table.iloc[1:]
    others = {plain_name(cell) for cell in set(cells(rows[rows["width"] >= columns.least], label))}
    named = first[label] in _HEADER_WORDS or first[text] in _HEADER_WORDS
    return named and first[label] not in others and len(table) > 1


def _examples(table: DataFrame, form: FileFormat) -> Iterator[TextExample]:
    def column(place: Column | None) -> Iterable[str | None]:
        return repeat(None, len(table)) if place is None else cells(table, place)

    texts, places = cells(table, form.columns.text_a), form.columns
    others = zip(column(places.text_b), column(places.label), table["line"].tolist(), strict=True)
    for text_a, (text_b, label, line) in zip(texts, others, strict=True):
        if label is not None:
            label = label.strip()
            label = form.relabel.get(label, label)
        yield TextExample(text_a, text_b, label, line)


def _content_fault(example: TextExample, known: Mapping[str, Any]) -> str | None:
    if not example.text_a.strip() or (example.text_b is not None and not example.text_b.strip()):
        return "the text is empty"
    if example.label == "":
        return "the label is empty"
    if known and example.label is not None and example.label not in known:
        return f"unknown label {example.label!r} (known: {first_of(list(known))})"
    return None
