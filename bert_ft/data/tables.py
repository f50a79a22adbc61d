"""Tables from TSV, CSV, JSON, parquet and Excel, as pandas frames of strings that know where each row stands."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bert_ft.data.columns import Column, find_delimiter
from bert_ft.data.rows import BadRows, Line, first_text, read_lines, read_objects
from bert_ft.errors import BertFtError
from bert_ft.files.lines import BOM

if TYPE_CHECKING:
    from pandas import DataFrame

# pandas takes half a second to import: only where there is a table.

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_EXCEL = (".xlsx", ".xlsm")
_PARQUET = (".parquet", ".pq")
_QUOTED = (",", ";")
_MIN_KEPT = 16
"""Columns of the widest of Google's files."""


_Row = tuple[int, list[str]]
"""Line and cells."""


def read_table(path: Path, bad_rows: BadRows, delimiter: str | None = None) -> DataFrame:
    """Read a table; its kind is told by the ending of its name. Blank rows are passed over.

    ``.json``, ``.jsonl`` and ``.ndjson`` hold objects, one a line or in an array; ``.parquet`` is read by pyarrow, and
    ``.xlsx`` by openpyxl: the first sheet, or that of ``file.xlsx#sheet``, and of a formula the value saved with it.
    Any other file is parted by tabs, where quotes mean nothing, ``.csv`` by what parts its first line: comma and
    semicolon with the quotes of CSV.

    Args:
        delimiter: what parts the columns of a text file; None to find it.

    Returns:
        Columns 0, 1, … of str, never missing: "" for an empty cell and for what a short row lacks; and two of int:
        ``line``, the line or row from 1 where the row begins, 0 for the names of parquet and JSON columns; and
        ``width``, how many cells the row has.
        The first row may be names or data. Of a row far wider than others only the first cells and the last are kept.

    Raises:
        BertFtError: the file cannot be read, breaks in the middle, or has no row.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "train.csv")
        ...     _ = path.write_text('label,text\\n007,"two\\nlines"\\nNA,one\\n')
        ...     read_table(path, BadRows()).to_numpy().tolist()
        [['label', 'text', 1, 2], ['007', 'two\\nlines', 2, 2], ['NA', 'one', 4, 2]]
    """
    file, sheet = sheet_of(path)
    suffix = file.suffix.lower()
    if suffix in _EXCEL:
        return _from_excel(path, bad_rows, file, sheet or 0)
    if suffix in _PARQUET:
        return _from_parquet(path)
    lines = list(read_lines(path, bad_rows))
    if suffix in JSON_SUFFIXES:
        return _from_objects(path, bad_rows, read_objects(path, lines, bad_rows))
    first = first_text(lines)
    return text_table(path, bad_rows, lines, delimiter or delimiter_of(path, first.text if first else ""))


def text_table(path: Path, bad_rows: BadRows, lines: Sequence[Line], delimiter: str) -> DataFrame:
    """The table that lines of text make; see :func:`read_table`."""
    if delimiter == "\t" and not any("\0" in line.text for line in lines):  # where older pandas ends a cell
        return _from_tabs(path, bad_rows, lines)
    if delimiter in _QUOTED:
        rows = _quoted_rows(path, lines, delimiter)
    else:
        rows = ((number, text.split(delimiter)) for number, text in lines if text.strip())
    return _from_rows(path, bad_rows, (row for row in rows if len(row[1]) > 1 or "".join(row[1]).strip()))


def delimiter_of(path: Path, line: str) -> str:
    """What parts the columns of a text file that has this as its first line."""
    return (find_delimiter(line, 2, ("\t", *_QUOTED)) or ",") if path.suffix.lower() == ".csv" else "\t"


def is_binary(path: Path) -> bool:
    """Whether a table is no text: Excel or parquet."""
    return sheet_of(path)[0].suffix.lower() in _EXCEL + _PARQUET


def sheet_of(path: Path) -> tuple[Path, str | None]:
    """The file and the sheet of ``file.xlsx#sheet``; None where the name has no sheet."""
    name, mark, sheet = path.name.rpartition("#")
    if mark and name.lower().endswith(_EXCEL) and not path.exists():
        return path.with_name(name), sheet
    return path, None


def first_row(table: DataFrame) -> list[str]:
    return table.iloc[0, : min(table["width"].iloc[0], _breadth(table))].tolist()


def place_of(path: Path | str, table: DataFrame) -> str:
    """Where the first row of a table stands: ``file:line``, or the file for names that stand in no row."""
    line = table["line"].iloc[0]
    return f"{path}:{line}" if line else str(path)


def cells(table: DataFrame, column: Column) -> list[str]:
    """The cells of a column by its number; "" for a row that is too short for it."""
    number, breadth = int(column), _breadth(table)
    if number >= breadth:
        return [""] * len(table)
    if number >= 0:
        return table[number].tolist()
    places = (table["width"].clip(upper=breadth) + number).tolist()
    return [row[place] if place >= 0 else "" for row, place in zip(table.to_numpy(), places, strict=True)]


def _breadth(table: DataFrame) -> int:
    return table.shape[1] - 2


def _from_tabs(path: Path, bad_rows: BadRows, lines: Sequence[Line]) -> DataFrame:
    import pandas as pd

    lines = [line for line in lines if line.text.strip()]
    widths = [line.text.count("\t") + 1 for line in lines]
    kept = _kept(path, bad_rows, widths)
    texts = [
        line.text if width <= kept else "\t".join(_narrowed(line.text.split("\t"), kept))
        for line, width in zip(lines, widths, strict=True)
    ]
    texts[0] = BOM + texts[0]  # the one mark that pandas takes off
    table = pd.read_csv(
        io.BytesIO("\n".join(texts).encode()),
        sep="\t",
        header=None,
        names=range(kept),
        dtype=object,
        quoting=csv.QUOTE_NONE,
        na_filter=False,
        skip_blank_lines=False,
        lineterminator="\n",
        engine="c",
    )
    return _placed(table, [line.number for line in lines], widths)


def _from_rows(path: Path, bad_rows: BadRows, rows: Iterable[_Row]) -> DataFrame:
    import pandas as pd

    lines: list[int] = []
    table: list[list[str]] = []
    for line, row in rows:
        lines.append(line)
        table.append(row)
    widths = [len(row) for row in table]
    kept = _kept(path, bad_rows, widths)
    if min(widths) < kept or max(widths) > kept:
        table = [_narrowed(row, kept) + [""] * (kept - len(row)) for row in table]
    return _placed(pd.DataFrame(np.array(table, object), dtype=object), lines, widths)


def _kept(path: Path, bad_rows: BadRows, widths: Sequence[int]) -> int:
    """How many columns the table gets: one broken row shall not make millions of empty cells of the others."""
    if not widths:
        bad_rows.summarize(path, kept=0)
    return min(max(widths), max(statistics.mode(widths), _MIN_KEPT))


def _narrowed(row: list[str], kept: int) -> list[str]:
    return row if len(row) <= kept else row[: kept - 1] + row[-1:]


def _placed(table: DataFrame, lines: Sequence[int], widths: Sequence[int]) -> DataFrame:
    table["line"], table["width"] = np.array(lines, int), np.array(widths, int)
    return table


def _quoted_rows(path: Path, lines: Sequence[Line], delimiter: str) -> Iterator[_Row]:
    # pandas reads past broken quotes, and tells no lines: here the reader below it is asked.
    reader = csv.reader((line.text + "\n" for line in lines), delimiter=delimiter, strict=True)
    before = 0
    try:
        for row in reader:
            yield lines[before].number, row
            before = reader.line_num
    except csv.Error as error:
        line = lines[before].number
        raise BertFtError(f"{path}:{line}: the CSV breaks in this row ({error}); mend its quotes") from None


def _from_objects(path: Path, bad_rows: BadRows, objects: Iterable[tuple[int, dict[str, Any]]]) -> DataFrame:
    found = list(objects)
    names = list(dict.fromkeys(name for _, value in found for name in value))
    rows = ((line, [_as_text(value.get(name)) for name in names]) for line, value in found)
    return _from_rows(path, bad_rows, chain([(0, names)], rows) if found else [])


def _from_parquet(path: Path) -> DataFrame:
    import pandas as pd

    how = {"engine": "pyarrow", "dtype_backend": "numpy_nullable"}
    read = _read(path, path, "parquet", lambda file: pd.read_parquet(file, **how))
    names = pd.DataFrame([[str(name) for name in read.columns]])
    values = pd.concat([names, read.astype(object).set_axis(names.columns, axis=1)])
    return _placed(_strings(values), range(len(values)), [len(read.columns)] * len(values))


def _from_excel(path: Path, bad_rows: BadRows, file: Path, sheet: str | int) -> DataFrame:
    import pandas as pd

    how = {"engine": "openpyxl", "sheet_name": sheet, "header": None, "dtype": object, "na_filter": False}
    table = _strings(_read(path, file, "excel", lambda opened: pd.read_excel(opened, **how)))
    table = table[table.ne("").any(axis=1)]
    if table.empty:
        bad_rows.summarize(path, kept=0)
    return _placed(table.reset_index(drop=True), table.index + 1, [table.shape[1]] * len(table))


def _strings(values: DataFrame) -> DataFrame:
    return values.apply(lambda column: column.map(_as_text)).astype(object).reset_index(drop=True)


def _read(path: Path, file: Path, kind: str, read: Callable[[BinaryIO], DataFrame]) -> DataFrame:
    try:
        with file.open("rb") as opened:
            return read(opened)
    except ImportError as error:
        library = {"excel": "openpyxl", "parquet": "pyarrow"}[kind]
        raise BertFtError(f'{path}: to read it takes {library}; pip install "bert-ft[{kind}]" ({error})') from None
    except OSError as error:
        raise BertFtError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # each layer of these libraries has its own errors for a file that is broken
        raise BertFtError(f"{path}: cannot be read as {kind} ({' '.join(str(error).split())})") from error


def _as_text(value: Any) -> str:
    """A cell as people see it: "1" where a sheet holds 1.0, and a day without the midnight that libraries add."""
    if isinstance(value, str):
        return value
    import pandas as pd

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return str(value)
