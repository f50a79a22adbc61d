"""CoNLL columns: one token a line, its tag in the last column, a blank line after each sentence."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

from bert_ft.data.rows import Line
from bert_ft.tasks.tagging.formats.record import BadRecord, Record
from bert_ft.tasks.tagging.schemes import IllegalTagError, Scheme, detect_scheme
from bert_ft.text.boundaries import join_tokens
from bert_ft.text.spans import Span

logger = logging.getLogger(__name__)

_DOCUMENT = "-DOCSTART-"


class _Token(NamedTuple):
    line: int
    cells: list[str]


def read(path: Path, lines: Sequence[Line]) -> Iterator[Record | BadRecord]:
    """Sentences of a file of columns; a file of one column has no tags.

    Columns are parted by tabs, else by spaces. A bad line makes its whole sentence bad.
    """
    sentences = list(_sentences(lines))
    width = statistics.mode(len(token.cells) for sentence in sentences for token in sentence) if sentences else 1
    sentences = _without_comments(path, sentences, width)
    scheme = None
    if width > 1:
        scheme = detect_scheme([[token.cells[-1] for token in sentence] for sentence in sentences])
        logger.info("%s: %s tags, %d columns", path, "plain" if scheme.bare else scheme.name, width)
    for sentence in sentences:
        try:
            yield _record(sentence, width, scheme)
        except IllegalTagError as error:
            yield BadRecord(sentence[error.index].line, str(error))


def _sentences(lines: Sequence[Line]) -> Iterator[list[_Token]]:
    """Tokens up to a blank line; a sentence that lost a line to bad UTF-8, which was reported, does not come."""
    sentence: list[_Token] = []
    whole = True
    before = 0
    for number, text in [*lines, Line(lines[-1].number + 1 if lines else 1, "")]:
        whole = whole and number == before + 1
        before = number
        if text.strip(" \t") and not text.startswith(_DOCUMENT):
            sentence.append(_Token(number, _cells(text)))
            continue
        if sentence and whole:
            yield sentence
        sentence = []
        whole = True


def _cells(text: str) -> list[str]:
    if "\t" in text.rstrip(" \t"):
        cells = text.rstrip(" \t").split("\t")
        return [cells[0].strip(" ") or cells[0], *(cell.strip(" ") for cell in cells[1:])]
    cells = [cell for cell in text.rstrip(" \t").split(" ") if cell]
    # A token that is itself a space, which editors and exporters may have run together with the separator.
    return [" ", *cells] if text.startswith(" ") else cells


def _without_comments(path: Path, sentences: list[list[_Token]], width: int) -> list[list[_Token]]:
    """Drop lines such as ``# id …`` before a sentence, known by their number of columns."""
    kept = [list(dropwhile(lambda token: _is_comment(token, width), sentence)) for sentence in sentences]
    count = sum(map(len, sentences)) - sum(map(len, kept))
    if count:
        logger.info("%s: comment lines passed over, %d lines", path, count)
    return [sentence for sentence in kept if sentence]


def _is_comment(token: _Token, width: int) -> bool:
    return token.cells[0].startswith("#") and len(token.cells) > 1 and len(token.cells) != width


def _record(sentence: list[_Token], width: int, scheme: Scheme | None) -> Record:
    for i, token in enumerate(sentence):
        if len(token.cells) != width:
            columns = "1 column" if len(token.cells) == 1 else f"{len(token.cells)} columns"
            raise IllegalTagError(i, f"{columns} where the file has {width}")
        if not token.cells[0]:
            raise IllegalTagError(i, "the token is empty")
    text, units = join_tokens([token.cells[0] for token in sentence])
    spans = None
    if scheme is not None:
        tagged = scheme.spans([token.cells[-1] for token in sentence])
        spans = [Span(span.type, units[span.start][0], units[span.end - 1][1]) for span in tagged]
    return Record(sentence[0].line, text, units, spans, [None] * len(spans or []))
