"""Texts for prediction: a text a line, or a column of a table of any kind."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from bert_ft.data.texts import is_table, text_chunks_of
from bert_ft.errors import BertFtError

TEXTS = ["今天，“好”", 'a "b"\nc, d', "", "NA", "007"]


def texts(path: Path, *columns: str | None) -> list[str]:
    return [text for chunk in text_chunks_of(str(path), *columns) for text in chunk]


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.xlsx"])
def test_the_text_column_of_every_kind_of_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frame = pd.DataFrame({"id": range(5), "sentence": TEXTS, "answer": ["a", "b", "c", "d", "e"]})
    if name == "a.csv":
        frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
    elif name in ("a.jsonl", "a.json"):
        frame.to_json(path, orient="records", lines=name == "a.jsonl", force_ascii=False)
    else:
        getattr(frame, {"a.parquet": "to_parquet", "a.xlsx": "to_excel"}[name])(path, index=False)
    assert is_table(str(path))
    assert texts(path) == texts(path, "sentence") == texts(path, "1") == TEXTS
    assert texts(path, "answer") == list("abcde")
    assert texts(path, "sentence", "answer")[0] == "今天，“好” ||| a"
    assert texts(path, None, "answer")[3] == "NA ||| d"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "text\nid,text\n\n  b \n"),
        ("a.csv", "well, textual\nid,text\n"),
        ("a.tsv", "1\tgood\ntext\tb\n"),
        ("a.tsv", "id,text\n1,a\n"),
        ("a", ""),
        ("a.csv", ""),
    ],
)
def test_any_other_file_is_a_text_a_line(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    assert not is_table(str(path))
    assert texts(path) == content.splitlines()


def test_text_tables(tmp_path: Path) -> None:
    assert texts(write(tmp_path / "a.tsv", 'id\ttext\n1\t"a\n2\tb,c\n')) == ['"a', "b,c"]
    assert texts(write(tmp_path / "a.csv", 'text\n"a, b"\nc\n')) == ["a, b", "c"]
    assert texts(write(tmp_path / "a.csv", "text;id\na, b;1\n")) == ["a, b"]
    assert texts(write(tmp_path / "a.csv", "text\n")) == []
    assert texts(write(tmp_path / "a.txt", "x\ta\ny\tb\n"), "1") == ["a", "b"]
    assert texts(write(tmp_path / "a.txt", "q\tr\ny\tb\n"), "r", "q") == ["b ||| y"]


def test_many_rows_come_in_chunks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\n" + "".join(f"t{i}\n" for i in range(10_000)))
    chunks = list(text_chunks_of(str(path)))
    assert [len(chunk) for chunk in chunks] == [4096, 4096, 1808]
    assert chunks[2][-1] == "t9999"


@pytest.mark.parametrize(
    ("name", "content", "columns", "fault"),
    [
        ("a.csv", "id,text\n1,a\n2,b,c\n", (), r"a\.csv:3: 3 columns where the first row has 2; mend the row$"),
        ("a.csv", "id,text\n1,a\n", ("words",), r"a\.csv:1: no column 'words' for --text_column; there are id, text"),
        ("a.csv", "id,text\n1,a\n", ("text", "2"), r"a\.csv:1: no column '2' for --text_b_column; there are id, text"),
        ("a.jsonl", '{"words": "a"}\n', (), r"a\.jsonl: no column has a name such as text; .* --text_column"),
        ("a.jsonl", '{"text": "a"}\n{"text"}\n', (), r"a\.jsonl:2: not a JSON object \(.*\); mend the row$"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, name: str, content: str, columns: tuple[str, ...], fault: str) -> None:
    with pytest.raises(BertFtError, match=fault):
        texts(write(tmp_path / name, content), *columns)


def test_standard_input_is_no_table() -> None:
    with pytest.raises(BertFtError, match="standard input is read a text a line"):
        list(text_chunks_of("-", "text"))
