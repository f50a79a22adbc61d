"""Texts with entities: reading a file in any of the formats, and checking that its spans can be learnt."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bert_ft.data.rows import BadRows, Line, RowError, first_text, is_array, parse_object, read_lines
from bert_ft.errors import BertFtError
from bert_ft.tasks.tagging.formats import cluener, conll, tasteset
from bert_ft.tasks.tagging.formats import jsonl as span_lines
from bert_ft.tasks.tagging.formats.record import BadRecord, Record
from bert_ft.text.spans import Span, unit_fault, word_ranges

logger = logging.getLogger(__name__)

_Reader = Callable[[Path, Sequence[Line]], Iterator[Record | BadRecord]]
_READERS: dict[str, _Reader] = {
    "conll": conll.read,
    "cluener": cluener.read,
    "jsonl": span_lines.read,
    "tasteset": tasteset.read,
}
FORMATS = tuple(_READERS)

_OBJECT = re.compile(r'\s*\{\s*["}]')
_SURROGATE = re.compile("[\ud800-\udfff]")


class TaggingExample(NamedTuple):
    """One text of a data file.

    Attributes:
        units: character ranges of its tokens where the file gives tokens, else None.
        spans: its entities in order of the text; empty where the file has no labels.
        line: number of its first line.
    """

    text: str
    units: list[tuple[int, int]] | None
    spans: list[Span]
    line: int


@dataclass(frozen=True)
class TaggedTexts:
    """A split that was read.

    Attributes:
        format: one of ``FORMATS``.
        labelled: whether the file says which entities its texts have.
    """

    path: Path
    format: str
    examples: list[TaggingExample]
    labelled: bool

    @property
    def types(self) -> list[str]:
        """Entity types that occur, by code point."""
        return sorted({span.type for example in self.examples for span in example.spans})


def read_examples(path: Path, format: str | None, bad_rows: BadRows, training: bool) -> TaggedTexts:
    """Read a file of texts with entities.

    A span outside its text or without a character, overlapping spans, and a span whose text is not what the file
    states are bad rows.

    Args:
        format: one of ``FORMATS``; None tells it by the content.
        training: labels are required, and a span of a raw text that does not end where words end is a bad row.
            Otherwise such spans stay, their number is logged, and no prediction can equal them.
    """
    if format is not None and format not in _READERS:
        raise BertFtError(f"unknown format {format!r} (known: {', '.join(FORMATS)})")
    lines = list(read_lines(path, bad_rows))
    name = format or _detect(path, lines)
    logger.info("%s: format %s", path, name)
    records = list(_READERS[name](path, lines))
    whole = [record for record in records if isinstance(record, Record)]
    labelled = any(record.spans is not None for record in whole)
    if training and whole and not labelled:
        raise BertFtError(f"{path}: no text has labels (format {name}); training needs them")
    cut: list[int] = []
    examples = []
    for record in records:
        if isinstance(record, BadRecord):
            bad_rows.report(path, record.line, record.fault)
            continue
        fault = _fault(record, labelled)
        cuts = [] if fault else _cuts(record)
        if training and cuts:
            fault = cuts[0]
        if fault:
            bad_rows.report(path, record.line, fault)
            continue
        cut += [record.line] * len(cuts)
        spans = sorted(record.spans or [], key=lambda span: span.start)
        examples.append(TaggingExample(record.text, record.units, spans, record.line))
    if cut:
        logger.warning(
            "%s:%d: %d spans do not end where words end; they stay and count as missed", path, cut[0], len(cut)
        )
    bad_rows.summarize(path, len(examples))
    return TaggedTexts(path, name, examples, labelled)


def _detect(path: Path, lines: Sequence[Line]) -> str:
    first = first_text(lines)
    if first is None:
        return "conll"
    if is_array(first):
        raise BertFtError(f"{path}:{first.number}: a JSON array; write one object a line")
    if tasteset.TEXT in (name.strip(' "') for name in first.text.split(",")):
        return "tasteset"
    if not _OBJECT.match(first.text):
        return "conll"
    for line in lines:
        try:
            label = parse_object(line.text).get("label")
        except RowError:
            continue
        if label is not None:
            return "cluener" if isinstance(label, dict) else "jsonl"
    return "jsonl"


def _fault(record: Record, labelled: bool) -> str | None:
    if not record.text.strip():
        return "the text is empty"
    if _SURROGATE.search(record.text):
        return "the text holds half of a surrogate pair, which is no character"
    if record.spans is None:
        return "no label, but other texts of the file have one; label all or none" if labelled else None
    for (kind, start, end), surface in zip(record.spans, record.surfaces, strict=True):
        if not 0 <= start < len(record.text) or end > len(record.text):
            return f"span {start}-{end} ({kind}) lies outside the text of {len(record.text)} characters"
        if end <= start:
            return f"span {start}-{end} ({kind}) holds no character"
        if surface is not None and record.text[start:end] != surface:
            return f"span {start}-{end} ({kind}) is {record.text[start:end]!r} in the text, {surface!r} in the label"
    for one, other in pairwise(sorted(record.spans, key=lambda span: (span.start, span.end))):
        if other.start < one.end:
            places = f"{one.start}-{one.end} ({one.type}) and {other.start}-{other.end} ({other.type})"
            return f"spans {places} overlap"
    return None


def _cuts(record: Record) -> list[str]:
    """Faults of the spans that are not whole words; tokens of a file are never cut."""
    if not record.spans or record.units is not None:
        return []
    words = word_ranges(record.text)
    faults = (unit_fault(record.text, words, span) for span in record.spans)
    return [fault for fault in faults if fault]
