"""Tables of every kind against files that others wrote: the csv module, openpyxl, pandas, and rows set down by hand."""

from __future__ import annotations

import builtins
import csv
import datetime
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_ft.data.rows import BadRows
from bert_ft.data.tables import cells, first_row, read_table, sheet_of
from bert_ft.errors import BertFtError

Rows = list[tuple[int, list[str]]]
ODD = ["NA", "null", "nan", "None", "1.0", "007", "1e5", "TRUE", "2024-01-02", "#N/A", "", " 标签 ", "-", "0x10"]


def rows_of(path: Path, skip: bool = False, delimiter: str | None = None) -> Rows:
    table = read_table(path, BadRows(skip), delimiter)
    rows = [(line, row[:width]) for *row, line, width in table.to_numpy().tolist()]
    assert all(type(cell) is str for _, row in rows for cell in row)
    return rows


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_sheet(path: Path, rows: list[list[Any]], name: str = "Sheet", **more: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for title, content in {name: rows, **more}.items():
        sheet = book.active if title == name else book.create_sheet()
        sheet.title = title
        for row in content:
            sheet.append(row)
    book.save(path)
    return path


TSV = [
    ('007\t"good\nNA\tbad" day\n', [(1, ["007", '"good']), (2, ["NA", 'bad" day'])]),
    ("标签\t文本\r\n\r\n1.0\t今天，“好”\r\n", [(1, ["标签", "文本"]), (3, ["1.0", "今天，“好”"])]),
    ("\ufeffa\tb\n \t \nc\td", [(1, ["a", "b"]), (3, ["c", "d"])]),
    ("a\t\n\tb\n\t\tc\n", [(1, ["a", ""]), (2, ["", "b"]), (3, ["", "", "c"])]),
    ("a\tb\nc\n", [(1, ["a", "b"]), (2, ["c"])]),
    ("a\tx\0y\rz\u2028\x85\x0b\nb\t\ufeff\n", [(1, ["a", "x\0y\rz\u2028\x85\x0b"]), (2, ["b", "\ufeff"])]),
    ("#a\t'b'\n\\t\t\\\n", [(1, ["#a", "'b'"]), (2, ["\\t", "\\"])]),
    ("only one\n", [(1, ["only one"])]),
]


@pytest.mark.parametrize(("content", "expected"), TSV)
def test_tsv(tmp_path: Path, content: str, expected: Rows) -> None:
    assert rows_of(write(tmp_path / "a.tsv", content)) == expected
    assert rows_of(write(tmp_path / "a.txt", content)) == expected


CSV = [
    ("label,text\n007,NA\n", [(1, ["label", "text"]), (2, ["007", "NA"])]),
    ('a,"two\nlines, ""quoted"""\n\nb,one\n', [(1, ["a", 'two\nlines, "quoted"']), (4, ["b", "one"])]),
    ('a,"x\r\n\r\ny"\r\nb,\r\n', [(1, ["a", "x\n\ny"]), (4, ["b", ""])]),
    ('标签;文本\n1;"好;坏"\n', [(1, ["标签", "文本"]), (2, ["1", "好;坏"])]),
    ('id\ta "b"\n1\tx,y\n', [(1, ["id", 'a "b"']), (2, ["1", "x,y"])]),
    ('\ufeff"a",b\nc\nd,e,f\n', [(1, ["a", "b"]), (2, ["c"]), (3, ["d", "e", "f"])]),
    ('text\n"a, b"\n5" pipe\n', [(1, ["text"]), (2, ["a, b"]), (3, ['5" pipe'])]),
]


@pytest.mark.parametrize(("content", "expected"), CSV)
def test_csv(tmp_path: Path, content: str, expected: Rows) -> None:
    assert rows_of(write(tmp_path / "a.CSV", content)) == expected


@given(
    rows=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff")), min_size=2, max_size=4),
        min_size=1,
    )
)
@settings(deadline=None)
def test_what_the_csv_module_wrote_is_read_with_the_lines_where_it_wrote_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text, expected = io.StringIO(), []
    for row in rows:
        expected.append((1 + text.getvalue().count("\n"), row))
        csv.writer(text, lineterminator="\n").writerow(row)
    path = write(tmp_path_factory.getbasetemp() / "a.txt", text.getvalue())
    assert rows_of(path, delimiter=",") == expected


@given(rows=st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\ufeff"))), min_size=1))
@settings(deadline=None)
def test_tabs_part_cells_and_nothing_else_does(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    content = "\n".join("\t".join(row) for row in rows)
    path = write(tmp_path_factory.getbasetemp() / "a.tsv", content)
    expected = [(n, line.split("\t")) for n, line in enumerate(content.split("\n"), start=1) if line.strip()]
    if not expected:
        with pytest.raises(BertFtError, match="no usable row"):
            rows_of(path)
        return
    table = read_table(path, BadRows())
    assert table["line"].tolist() == [line for line, _ in expected]
    assert table["width"].tolist() == [len(row) for _, row in expected]
    for column in (0, 1, 5):
        assert cells(table, column) == [row[column] if column < len(row) else "" for _, row in expected]
    assert cells(table, -1) == [row[-1] for _, row in expected]
    assert first_row(table)[:10] == expected[0][1][:10]


def test_one_broken_row_does_not_widen_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\n" * 1000 + "x\t" * 100_000 + "z\n")
    table = read_table(path, BadRows())
    assert table.shape[1] < 30
    assert table["width"].iloc[-1] == 100_001
    assert cells(table, -1)[-2:] == ["b", "z"]


def test_strings_that_look_like_something_else_stay_text_in_every_kind_of_file(tmp_path: Path) -> None:
    rows = [["label", "text"], *([odd, f"t{i}"] for i, odd in enumerate(ODD))]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    write(tmp_path / "a.tsv", "".join("\t".join(row) + "\n" for row in rows))
    objects = [dict(zip(*(rows[0], row), strict=True)) for row in rows[1:]]
    write(tmp_path / "a.jsonl", "".join(json.dumps(value) + "\n" for value in objects))
    write(tmp_path / "a.json", json.dumps(objects, ensure_ascii=False, indent=2))
    pd.DataFrame(objects).to_parquet(tmp_path / "a.parquet")
    write_sheet(tmp_path / "a.xlsx", [["label", "text"]])
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    for number, row in enumerate(rows[1:], start=2):
        for column, value in enumerate(row, start=1):
            cell = book.active.cell(number, column, value)
            cell.data_type = "s"  # what openpyxl takes for an error otherwise
    book.save(tmp_path / "a.xlsx")
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.xlsx"):
        assert [row for _, row in rows_of(tmp_path / name)] == rows, name


def test_excel_shows_what_its_user_sees(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5)
    rows = [
        ["label", "text", None],
        [1, "一", -2.0],
        [],
        [2.5, datetime.date(2024, 1, 2), moment],
        [3, "two\nlines", True],
        [10**15, None, "=1+1"],
    ]
    assert rows_of(write_sheet(tmp_path / "a.xlsx", rows)) == [
        (1, ["label", "text", ""]),
        (2, ["1", "一", "-2"]),
        (4, ["2.5", "2024-01-02", "2024-01-02 03:04:05"]),
        (5, ["3", "two\nlines", "True"]),
        (6, ["1000000000000000", "", ""]),  # openpyxl saves no value with a formula
    ]


def test_a_formula_has_the_value_that_was_saved_with_it(tmp_path: Path) -> None:
    import zipfile

    path = write_sheet(tmp_path / "a.xlsx", [["label", "text"], ["=1+1", "x"]])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>").replace(
                b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"))  # fmt: skip
    assert rows_of(tmp_path / "b.xlsx")[1] == (2, ["2", "x"])


def test_a_sheet_by_name(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "a.xlsx", [["a", "b"]], **{"Blatt 2": [[], ["c", 3]], "2": [["d", "e"]], "empty": []})
    assert rows_of(path) == [(1, ["a", "b"])]
    assert rows_of(Path(f"{path}#Blatt 2")) == [(2, ["c", "3"])]
    assert rows_of(Path(f"{path}#2")) == [(1, ["d", "e"])]
    assert sheet_of(Path("dir/a.xlsx#x")) == (Path("dir/a.xlsx"), "x")
    assert sheet_of(Path("dir#1/a#x.tsv")) == (Path("dir#1/a#x.tsv"), None)
    with pytest.raises(BertFtError, match=r"a\.xlsx#other: cannot be read as excel \(.*'other' not found\)"):
        rows_of(Path(f"{path}#other"))
    with pytest.raises(BertFtError, match="no usable row"):
        rows_of(Path(f"{path}#empty"))


def test_parquet_rows_are_counted_from_one_below_their_names(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "label": pd.array([1, None, 2**60 + 1], dtype="Int64"),
            "float": [1.0, 0.5, float("nan")],
            "text": ["一", "", None],
            "kind": pd.Categorical(["x", "y", "x"]),
            "at": pd.to_datetime(["2024-01-02 00:00", "2024-01-02 03:00", None]),
        },
        index=[7, 7, 9],
    )
    frame.to_parquet(tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet") == [
        (0, ["label", "float", "text", "kind", "at"]),
        (1, ["1", "1", "一", "x", "2024-01-02"]),
        (2, ["", "0.5", "", "y", "2024-01-02 03:00:00"]),
        (3, ["1152921504606846977", "", "", "x", ""]),
    ]


def test_json_objects_need_not_have_the_same_keys(tmp_path: Path) -> None:
    content = '{"text": "一", "label": 1}\n\n{"label": 2.0, "more": null, "text": "a\\nb"}\n{"text": true, "x": 0.5}\n'
    expected = [
        (0, ["text", "label", "more", "x"]),
        (1, ["一", "1", "", ""]),
        (3, ["a\nb", "2", "", ""]),
        (4, ["True", "", "", "0.5"]),
    ]
    assert rows_of(write(tmp_path / "a.jsonl", content)) == expected


def test_objects_of_an_array_know_their_lines(tmp_path: Path) -> None:
    content = '\n[\n  {\n    "text": "a",\n    "label": 1\n  },\n  {"text": "b"}, {"text": "[{\\n"}\n]\n'
    path = write(tmp_path / "a.json", content)
    assert rows_of(path) == [(0, ["text", "label"]), (3, ["a", "1"]), (7, ["b", ""]), (7, ["[{\n", ""])]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "a.csv",
            'a,b\n"c,d\ne,f\n',
            r"a\.csv:2: the CSV breaks .* \(unexpected end of data\); mend its quotes",
        ),
        ("a.csv", 'a,b\n"c"c,d\n', r"a\.csv:2: the CSV breaks in this row"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl:2: not a JSON object"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl:2: a JSON list, not an object"),
        ("a.json", '[\n{"a": 1},\n{"a" 2}]', r"a\.json:3: the JSON array breaks here"),
        ("a.json", '[\n{"a": 1},\n5]', r"a\.json:3: a JSON int, not an object"),
        ("a.json", '[{"a": 1},\n', r"a\.json:1: the JSON array breaks here"),
        ("a.tsv", b"a\tb\n\xc4\xe3\tb\n", r"a\.tsv:2: not UTF-8 at byte 0 of the line"),
        ("a.tsv", "标签\t文本\n你\t好\n".encode("gbk"), r"a\.tsv:1: not UTF-8 at byte 0 of the line"),
        ("a.csv", "a,b\n".encode("utf-16"), r"a\.csv:1: the file is UTF-16; save it as UTF-8"),
        ("a.csv", "\ufeffa,b\n".encode("utf-16-be"), r"a\.csv:1: the file is UTF-16; save it as UTF-8"),
        ("a.tsv", "\n \n", r"a\.tsv: no usable row"),
        ("a.csv", "\n \n", r"a\.csv: no usable row"),
        ("a.json", "", r"a\.json: no usable row"),
        ("a.json", "[\n]", r"a\.json: no usable row"),
        ("a.xlsx", "label,text\n", r"a\.xlsx: cannot be read as excel \(File is not a zip file\)"),
        ("a.parquet", "label,text\n", r"a\.parquet: cannot be read as parquet \("),
    ],
)
def test_broken_files_get_one_line(tmp_path: Path, name: str, content: str | bytes, fault: str) -> None:
    with pytest.raises(BertFtError, match=fault) as caught:
        rows_of(write(tmp_path / name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no.tsv", "no.csv", "no.jsonl", "no.xlsx", "no.xlsx#a", "no.parquet"])
def test_an_absent_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BertFtError, match=rf"{name}: cannot be read \(No such file or directory\)"):
        rows_of(tmp_path / name)
    (tmp_path / name.partition("#")[0]).mkdir()
    with pytest.raises(BertFtError, match=rf"{name}: cannot be read"):
        rows_of(tmp_path / name)


def test_lines_that_are_not_utf8_are_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path / "a.tsv", b"a\tb\n\xff\tc\nd\te\n"), skip=True) == [(1, ["a", "b"]), (3, ["d", "e"])]
    path = write(tmp_path / "a.jsonl", b'{"a": "x"}\n{"a": "\xff"}\n{"a": 5}\n')
    assert rows_of(path, skip=True) == [(0, ["a"]), (1, ["x"]), (3, ["5"])]


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("a.xlsx", "openpyxl", "excel"), ("a.parquet", "pyarrow", "parquet")]
)
def test_a_library_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str, extra: str
) -> None:
    real = builtins.__import__

    def absent(wanted: str, *rest: Any, **more: Any) -> Any:
        if wanted.split(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return real(wanted, *rest, **more)

    for module in [one for one in sys.modules if one.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(BertFtError, match=rf'{name}: .*{library}; pip install "bert-ft\[{extra}\]"') as caught:
        rows_of(write(tmp_path / name, b"PK"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "import bert_ft, bert_ft.run_classifier, bert_ft.run_ner, bert_ft.commands.main",
        "import bert_ft.data.tables, bert_ft.data.texts, bert_ft.tasks.classification.examples",
        "import bert_ft.tasks.tagging.examples, bert_ft.tasks.similarity.pairs",
        "import bert_serving.server, bert_serving.client",
        "from bert_ft.data.texts import text_chunks_of as t; list(t(__import__('os').devnull))",
    ],
)
def test_pandas_is_imported_only_where_a_table_is_read(code: str) -> None:
    code += "; import sys; sys.exit('pandas' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
