"""Single texts or pairs, one label each: reading the data and scoring the answers."""

from __future__ import annotations

import logging
import re
import statistics
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bert_ft.data.rows import BadRows, Row, read_rows
from bert_ft.errors import BertFtError
from bert_ft.shown import first_of
from bert_ft.tasks.classification.files import Columns, FileFormat, TaskFiles

logger = logging.getLogger(__name__)

_HEADER_LABELS = {"label", "labels", "class", "category", "target", "intent", "emotion", "sentiment", "标签", "类别"}
_HEADER_TEXTS = {"text", "text_a", "sentence", "sentence1", "content", "question", "review", "query", "文本", "内容"}
_HEADER_WORDS = _HEADER_LABELS | _HEADER_TEXTS
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
    path, form = find_file(data_dir, files.train)
    wanted = list(labels or files.labels or [])
    examples = _read_examples(path, form, wanted, bad_rows)
    found = sort_labels({example.label for example in examples if example.label is not None})
    if not wanted and len(found) < 2:
        raise BertFtError(f"{path}: only one label, {found[0]!r}; a classifier needs two or more")
    chosen = wanted or found
    return LabelledTexts(path, examples, _label_ids(examples, chosen)), chosen


def read_split(
    data_dir: Path, formats: Sequence[FileFormat], labels: Sequence[str], bad_rows: BadRows
) -> LabelledTexts:
    """Read development or test data; a label that training does not know is a bad row."""
    path, form = find_file(data_dir, formats)
    examples = _read_examples(path, form, labels, bad_rows)
    lacking = [example for example in examples if example.label is None]
    if lacking and len(lacking) < len(examples):
        raise BertFtError(f"{path}:{lacking[0].line}: this row has no label but others have; label all or none")
    return LabelledTexts(path, examples, None if lacking else _label_ids(examples, labels))


def find_file(data_dir: Path, formats: Sequence[FileFormat]) -> tuple[Path, FileFormat]:
    for form in formats:
        if (data_dir / form.name).is_file():
            return data_dir / form.name, form
    names = " nor ".join(form.name for form in formats)
    raise BertFtError(f"{data_dir}: has no {names}; give the folder of the data with --data_dir")


def sort_labels(labels: set[str]) -> list[str]:
    """Numbers in numeric order when all are numbers, else by code point."""
    if all(_NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)


def _label_ids(examples: Sequence[TextExample], labels: Sequence[str]) -> np.ndarray:
    ids = {label: index for index, label in enumerate(labels)}
    return np.array([ids[example.label or ""] for example in examples], np.int32)


def _read_examples(path: Path, form: FileFormat, labels: Sequence[str], bad_rows: BadRows) -> list[TextExample]:
    rows = list(read_rows(path, bad_rows))
    known = dict.fromkeys(labels)  # in order, and found at once
    form = _fit_columns(path, rows, form, known)
    rows = _without_header(path, rows, form)
    width = statistics.mode(len(row.cells) for row in rows) if rows else 0
    examples = []
    for row in rows:
        fault = _width_fault(row.cells, form, width)
        if not fault:
            example = _example(row, form)
            fault = _content_fault(example, known)
        if fault:
            bad_rows.report(path, row.line, fault)
        else:
            examples.append(example)
    bad_rows.summarize(path, len(examples))
    return examples


def _fit_columns(path: Path, rows: list[Row], form: FileFormat, labels: Container[str]) -> FileFormat:
    """The columns of a test file as its rows show them: text alone, label first or text first."""
    if not form.any_order or not rows:
        return form
    if all(len(row.cells) == 1 for row in rows):
        return replace(form, columns=Columns(text_a=0))
    hits = [sum(len(row.cells) > c and row.cells[c].strip() in labels for row in rows) for c in (0, 1)]
    columns = Columns(text_a=1, label=0) if hits[0] > hits[1] else Columns(text_a=0, label=1)
    if any(hits) and columns != form.columns:
        logger.info("%s: the label stands in column %d", path, (columns.label or 0) + 1)
        return replace(form, columns=columns)
    return form


def _without_header(path: Path, rows: list[Row], form: FileFormat) -> list[Row]:
    header = form.header
    if header is None:
        header = bool(rows) and _looks_like_header(rows, form.columns)
        if header:
            logger.info("%s:%d: header line found: %s", path, rows[0].line, " | ".join(rows[0].cells))
    rows = rows[1:] if header else rows
    return [row for row in rows if form.keep(row.cells)] if form.keep else rows


def _looks_like_header(rows: list[Row], columns: Columns) -> bool:
    """A first line made of column names, whose label stands in no other row."""
    first = [cell.strip().lower() for cell in rows[0].cells]
    if columns.label is None or columns.least > len(first):
        return bool(first) and all(cell in _HEADER_WORDS for cell in first)
    label = columns.label
    others = {row.cells[label].strip().lower() for row in rows[1:] if columns.least <= len(row.cells)}
    named = first[label] in _HEADER_WORDS or first[columns.text_a] in _HEADER_WORDS
    return named and first[label] not in others and len(rows) > 1


def _width_fault(cells: list[str], form: FileFormat, width: int) -> str | None:
    if form.exact and len(cells) != width:
        return f"{len(cells)} columns where the file has {width}"
    if len(cells) < form.columns.least:
        return f"{len(cells)} columns where {form.columns.least} are needed"
    return None


def _example(row: Row, form: FileFormat) -> TextExample:
    columns, cells = form.columns, row.cells
    label = None
    if columns.label is not None:
        label = cells[columns.label].strip()
        label = form.relabel.get(label, label)
    text_b = None if columns.text_b is None else cells[columns.text_b]
    return TextExample(cells[columns.text_a], text_b, label, row.line)


def _content_fault(example: TextExample, known: Mapping[str, Any]) -> str | None:
    if not example.text_a.strip() or (example.text_b is not None and not example.text_b.strip()):
        return "the text is empty"
    if example.label == "":
        return "the label is empty"
    if known and example.label is not None and example.label not in known:
        return f"unknown label {example.label!r} (known: {first_of(list(known))})"
    return None
