"""Texts to be answered: a text a line, or a column of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from bert_ft.data.columns import TEXT, Column, find_column, known_column
from bert_ft.data.rows import BadRows
from bert_ft.data.tables import JSON_SUFFIXES, cells, delimiter_of, first_row, is_binary, place_of, read_table
from bert_ft.errors import BertFtError
from bert_ft.files.lines import STANDARD, text_chunks

PAIR = " ||| "
"""Parts the two texts of a pair, as for the server."""

_CHUNK = 4096


def is_table(source: str, text_column: Column | None = None) -> bool:
    """Whether a file is read as a table: Excel, parquet, JSON, or CSV and TSV whose first line names a text column.

    Args:
        text_column: name or number of a column; whoever gives one means a table.
    """
    path = Path(source)
    if text_column is not None or is_binary(path) or path.suffix.lower() in JSON_SUFFIXES:
        return True
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    line = next(text_chunks(source, max_lines=1), [""])[0]
    names = next(csv.reader([line], delimiter=delimiter_of(path, line)), [])
    return known_column(names, TEXT) is not None


def text_chunks_of(
    source: str, text_column: Column | None = None, text_b_column: Column | None = None
) -> Iterator[list[str]]:
    """The texts of a table in order, or of any other file as :func:`text_chunks` gives them, in constant memory.

    Args:
        source: a file, or ``-`` for standard input, which is never a table.
        text_column: name or number from 0; None finds the column by its name, such as ``text`` or ``sentence``.
        text_b_column: second texts of pairs, likewise; None for single texts. A pair comes as ``first ||| second``.

    Raises:
        BertFtError: the file cannot be read, has no such column, or a row has another number of cells than the first.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "texts.csv")
        ...     _ = path.write_text('id,text\\n1,"yes, please"\\n2,no\\n')
        ...     list(text_chunks_of(str(path)))
        [['yes, please', 'no']]
    """
    if source == STANDARD and (text_column is not None or text_b_column is not None):
        raise BertFtError("standard input is read a text a line; give the table as a file, or leave its columns out")
    if source == STANDARD or not is_table(source, text_column if text_b_column is None else text_b_column):
        yield from text_chunks(source)
        return
    table = read_table(Path(source), BadRows(option=None))
    names, place = first_row(table), place_of(source, table)
    numbers = [find_column(names, text_column, "text_column", place, TEXT)]
    if text_b_column is not None:
        numbers.append(find_column(names, text_b_column, "text_b_column", place))
    named = {str(column) for column in (text_column, text_b_column)} & {name.strip() for name in names}
    if named or table["line"].iloc[0] == 0 or known_column(names, TEXT) is not None:
        table = table.iloc[1:]
    for number, width in zip(table["line"], table["width"], strict=True):
        if width != len(names):
            raise BertFtError(f"{source}:{number}: {width} columns where the first row has {len(names)}; mend the row")
    for start in range(0, len(table), _CHUNK):
        chunk = table.iloc[start : start + _CHUNK]
        yield [PAIR.join(texts) for texts in zip(*(cells(chunk, column) for column in numbers), strict=True)]
