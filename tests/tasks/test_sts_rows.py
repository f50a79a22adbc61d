"""Pairs with a score: every layout in which such files come, and faults in each."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.tasks.similarity.pairs import read_scored_pairs

EXPECTED = [("一个人, 一只狗", 'a "b" c', 2.5), ("x", "y", 0.0)]
COLUMNS = {"text_column": "5", "text_b_column": "6", "score_column": "4"}


def read(tmp_path: Path, content: str | bytes, skip: bool = False, **options: object) -> list[tuple[str, str, float]]:
    path = tmp_path / "pairs"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [tuple(pair[1:]) for pair in read_scored_pairs(path, BadRows(skip), **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        '"一个人, 一只狗","a ""b"" c",2.5\nx,y,0\n',
        '\ufeff"一个人, 一只狗","a ""b"" c",2.5\r\n\r\nx,y,0\r\n',
        'sentence1,sentence2,similarity_score\n"一个人, 一只狗","a ""b"" c",2.5\nx,y,0',
        'score;Sentence 2;Sentence-1\n2.5;"a ""b"" c";一个人, 一只狗\n0;y;x',
        '一个人, 一只狗\ta "b" c\t2.5\nx\ty\t0\n',
        '0-main-captions||一个人, 一只狗||a "b" c||2.5\n1-main||x||y||0\n',
        'index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\t一个人, 一只狗\ta "b" c\t2.5\n1\tnews\tx\ty\t0',
        'frage,antwort,punkte\n"一个人, 一只狗","a ""b"" c",2.5\nx,y,0',
        '{"sentence1": "一个人, 一只狗", "sentence2": "a \\"b\\" c", "label": "2.5"}\n\n'
        '{"score": 0, "text_b": "y", "text_a": "x"}\n',
    ],
)
def test_layouts(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == EXPECTED


def test_columns_by_number_and_name(tmp_path: Path) -> None:
    row = "main\tnews\t2012\t0001\t4.25\tone\ttwo"
    assert read(tmp_path, row, columns=COLUMNS) == [("one", "two", 4.25)]
    table = "q1,q2,human,machine\na,b,1,9\n"
    columns = {"text_column": "q1", "text_b_column": "q2", "score_column": "human"}
    assert read(tmp_path, table, columns=columns) == [("a", "b", 1.0)]
    assert read(tmp_path, "a!b!1", delimiter="!") == [("a", "b", 1.0)]
    keys = {"text_column": "q", "text_b_column": "r"}
    assert read(tmp_path, '{"q": "a", "r": "b", "gold": 3}', columns=keys) == [("a", "b", 3.0)]


@pytest.mark.parametrize("names", [["sentence1", "sentence2", "score"], ["q", "a", "points"]])
def test_parquet_excel_and_arrays(tmp_path: Path, names: list[str]) -> None:
    frame = pd.DataFrame([(1, *row) for row in EXPECTED], columns=["id", *names])
    frame.to_parquet(tmp_path / "pairs.parquet")
    frame.to_excel(tmp_path / "pairs.xlsx", index=False)
    for name in ("pairs.parquet", "pairs.xlsx"):
        assert [tuple(pair[1:]) for pair in read_scored_pairs(tmp_path / name, BadRows())] == EXPECTED
    frame.loc[1, names[0]] = None
    frame.to_excel(tmp_path / "pairs.xlsx", index=False)
    with pytest.raises(BertFtError, match=r"pairs\.xlsx:3: a sentence is empty"):
        read_scored_pairs(tmp_path / "pairs.xlsx", BadRows())


def test_an_array_of_objects(tmp_path: Path) -> None:
    objects = [{"sentence1": first, "sentence2": second, "score": score} for first, second, score in EXPECTED]
    assert read(tmp_path, json.dumps(objects, indent=1)) == EXPECTED
    objects[1]["score"] = None
    with pytest.raises(BertFtError, match="pairs:7: the score None is no number"):
        read(tmp_path, json.dumps(objects, indent=1))


def test_a_blank_line_in_a_quoted_cell_belongs_to_it(tmp_path: Path) -> None:
    assert read(tmp_path, 'd,e,2\n"a\n\nb",c,1\n\nd,e,2') == [("d", "e", 2.0), ("a\n\nb", "c", 1.0), ("d", "e", 2.0)]
    with pytest.raises(BertFtError, match="pairs:5: the score 'x' is no number"):
        read(tmp_path, '1,2,3\n"a\nb",c,1\n\nd,e,x')


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), min_size=1).filter(str.strip),
            st.sampled_from(["b", 'c"c"', "d,d", "e\ne"]),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
    )
)
def test_what_the_csv_module_wrote_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("sentence1", "sentence2", "score"), *rows])
    read_back = read(tmp_path_factory.getbasetemp(), text.getvalue())
    assert read_back == [(first.strip(), second, score) for first, second, score in rows]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a,b", "2 columns where the first row has 3"),
        ("a,b,c,1", "4 columns"),
        ("a,b,high", "score 'high' is no number"),
        ("a,b,nan", "score 'nan' is no number"),
        ("a,b,", "score '' is no number"),
        ("a, ,1", "a sentence is empty"),
        (b"a,\xff,1", "not UTF-8"),
    ],
)
def test_bad_rows_are_named_or_left_out(tmp_path: Path, row: str | bytes, fault: str) -> None:
    content = b"x,y,1\n%s\nz,z,5\n" % (row.encode() if isinstance(row, str) else row)
    with pytest.raises(BertFtError, match="pairs:2: ") as caught:
        read(tmp_path, content)
    assert fault in str(caught.value)
    assert "--on_bad_row=skip" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert read(tmp_path, content, skip=True) == [("x", "y", 1.0), ("z", "z", 5.0)]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('{"sentence1": "a", "score": 1}', "no sentence2"),
        ('{"sentence1": "a", "sentence2": null, "score": 1}', "None stands for a sentence"),
        ('{"sentence1": "a", "sentence2": "b", "score": true}', "score True is no number"),
        ('{"sentence1": "a", "sentence2": "b", "score": 1e999}', "score inf is no number"),
        ("[1]", "a JSON list"),
        ("{", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
    ],
)
def test_bad_objects_likewise(tmp_path: Path, row: str, fault: str) -> None:
    good = json.dumps({"sentence1": "x", "sentence2": "y", "score": 1})
    content = f"{good}\n{row}\n{good}\n"
    with pytest.raises(BertFtError, match="pairs:2: ") as caught:
        read(tmp_path, content)
    assert fault in str(caught.value)
    assert len(read(tmp_path, content, skip=True)) == 2


@pytest.mark.parametrize(
    ("content", "options", "fault"),
    [
        ("", {}, "the file is empty"),
        ("\n \n", {}, "the file is empty"),
        ("just text\n", {}, "no three columns parted by"),
        ("a\tb", {}, "no three columns"),
        ("a,b,1", {"delimiter": "|"}, "1 columns"),
        ("main\t4.25\tone\ttwo\n", {}, "'two' in column 3 is no number"),
        ("a,b,1", {"columns": {"score_column": "7"}}, "no column '7' for --score_column"),
        ("a,b,1", {"columns": {"score_column": "points"}}, "no column 'points'"),
        ("a,b,1", {"columns": {"text_column": "1"}}, "one column; give all three"),
        ('a,b,1\n"c,d,2\ne,f,3\n', {}, "pairs:2: the CSV breaks in this row"),
        ('a,b,1\n"c"c,d,2\ne,f,3\n', {}, "pairs:2: the CSV breaks in this row"),
        ("\ufeffa,b,1".encode("utf-16"), {}, "UTF-16"),
    ],
)
def test_files_of_which_nothing_can_be_made(tmp_path: Path, content: str | bytes, options: dict, fault: str) -> None:
    for skip in (False, True):
        with pytest.raises(BertFtError) as caught:
            read(tmp_path, content, skip, **options)
        assert fault in str(caught.value)
        assert "\n" not in str(caught.value)
