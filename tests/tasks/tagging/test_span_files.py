"""CLUENER, JSON lines with spans and TASTEset."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bert_ft.errors import BertFtError
from bert_ft.text.spans import Span
from tests.tasks.tagging.support import read, surfaces

TEXT = "浙商银行的叶老桂，叶老桂说😂好"
CLUENER = {"text": TEXT, "label": {"name": {"叶老桂": [[9, 11], [5, 7]]}, "company": {"浙商银行": [[0, 3]]}}}
ENTITIES = [("company", "浙商银行"), ("name", "叶老桂"), ("name", "叶老桂")]


def lines(*objects: Any) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in objects)


def test_cluener_ends_are_inclusive(tmp_path: Path) -> None:
    texts = read(tmp_path / "train.json", lines({"text": "无", "label": {}}, CLUENER), training=True)
    assert texts.format == "cluener"
    assert surfaces(texts) == [[], ENTITIES]
    assert texts.examples[1].spans == [Span("company", 0, 4), Span("name", 5, 8), Span("name", 9, 12)]
    assert texts.examples[1].units is None


@pytest.mark.parametrize("format", [None, "cluener", "jsonl"])
def test_text_without_label_is_test_data(tmp_path: Path, format: str | None) -> None:
    texts = read(tmp_path / "test.json", lines({"id": 0, "text": TEXT}, {"id": 1, "text": "b"}), format=format)
    assert not texts.labelled
    assert [example.text for example in texts.examples] == [TEXT, "b"]


@pytest.mark.parametrize(
    "entities",
    [
        {"entities": [{"start": 5, "end": 8, "type": "name"}]},
        {"entities": [{"id": 3, "start_offset": 5, "end_offset": 8, "label": "name"}], "relations": []},
        {"spans": [{"start": 5, "end": 8, "label": "name", "token_start": 5}], "label": None},
        {"label": [[5, 8, "name"]]},
        {"labels": [[5, 8, " name "]]},
        {"entities": [{"entity_group": "name", "score": 0.9, "word": "叶 老 桂", "start": 5, "end": 8}]},
        {"entities": [{"type": "name", "text": "叶老桂", "start": 5, "end": 8, "score": 0.9}]},
    ],
)
def test_the_key_spellings_of_span_lines(tmp_path: Path, entities: dict[str, Any]) -> None:
    texts = read(tmp_path / "a.txt", "\n" + lines({"text": TEXT, **entities}) + "\n")
    assert texts.format == "jsonl"
    assert texts.examples[0].spans == [Span("name", 5, 8)]
    assert texts.examples[0].line == 2


def test_offsets_count_characters_beyond_the_bmp_once(tmp_path: Path) -> None:
    content = json.dumps({"text": TEXT, "label": [[14, 15, "x"]]})
    assert "\\ud83d\\ude02" in content
    assert surfaces(read(tmp_path / "a", content)) == [[("x", "好")]]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('{"text": "a b"', "not a JSON object"),
        ("[1]", "a JSON list, not an object"),
        ('{"label": []}', 'no "text"'),
        ('{"text": 5, "label": []}', '"text" is 5, not a string'),
        ('{"text": " ", "label": []}', "the text is empty"),
        ('{"text": "a\\ud83d", "label": []}', "half of a surrogate pair"),
        ('{"text": "a b"}', "no label, but other texts of the file have one"),
        ('{"text": "a b", "label": "x"}', "\"label\" is 'x', not a list of spans"),
        ('{"text": "a b", "label": [5]}', "5 is no span"),
        ('{"text": "a b", "label": [[0, 1]]}', r"\[0, 1\] is no span"),
        ('{"text": "a b", "label": [{"start": 0, "type": "x"}]}', "a span without end or end_offset"),
        ('{"text": "a b", "label": [["0", 1, "x"]]}', "start of a span of type 'x' is '0', not a whole number"),
        ('{"text": "a b", "label": [[0, true, "x"]]}', "end of a span of type 'x' is True"),
        ('{"text": "a b", "label": [[0, 1, ""]]}', "the type of a span is ''"),
        ('{"text": "a b", "label": [[0, 1, "x\\ty"]]}', "holds a tab or a line end"),
        ('{"text": "a b", "label": [[2, 4, "x"]]}', r"span 2-4 \(x\) lies outside the text of 3 characters"),
        ('{"text": "a b", "label": [[-1, 1, "x"]]}', "span -1-1 .* outside"),
        ('{"text": "a b", "label": [[2, 2, "x"]]}', "span 2-2 .* holds no character"),
        ('{"text": "a b", "label": [[2, 1, "x"]]}', "span 2-1 .* holds no character"),
        ('{"text": "a b", "label": [[2, 3, "y"], [0, 3, "x"]]}', r"spans 0-3 \(x\) and 2-3 \(y\) overlap"),
        ('{"text": "a b", "label": [[0, 1, "x"], [0, 1, "x"]]}', "overlap"),
        ('{"text": "a b", "label": [{"start": 0, "end": 1, "type": "x", "text": "b"}]}', "is 'a' in the text, 'b' in"),
    ],
)
def test_bad_span_lines_are_named(tmp_path: Path, value: str, fault: str) -> None:
    content = lines({"text": "good", "label": [[0, 4, "x"]]}) + value + "\n"
    with pytest.raises(BertFtError, match=f"a:2: .*{fault}"):
        read(tmp_path / "a", content)
    assert [example.text for example in read(tmp_path / "a", content, skip=True).examples] == ["good"]


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ([[0, 1, "x"]], '"label" is .*, not an object as in CLUENER'),
        ({"name": ["叶老桂"]}, "\"label\" of type 'name' is"),
        ({"name": {"叶老桂": [5, 7]}}, "the places of '叶老桂' are"),
        ({"name": {"叶老": [[5, 7]]}}, r"span 5-8 \(name\) is '叶老桂' in the text, '叶老' in the label"),
        ({"name": {"叶老桂": [[5, 99]]}}, "outside the text"),
        ({"name": {"叶老桂": [[5, 7]]}, "position": {"桂": [[7, 7]]}}, "overlap"),
    ],
)
def test_bad_cluener_lines_are_named(tmp_path: Path, label: Any, fault: str) -> None:
    content = lines(CLUENER, {"text": TEXT, "label": label})
    with pytest.raises(BertFtError, match=f"a:2: .*{fault}"):
        read(tmp_path / "a", content)


def test_a_json_array_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match="a:1: a JSON array; write one object a line"):
        read(tmp_path / "a", json.dumps([CLUENER], indent=1))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"unknown format 'bio' .*conll, cluener, jsonl, tasteset"):
        read(tmp_path / "a", "EU B-ORG", format="bio")


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [(6, 9, r"span 6-9 \(x '400'\) cuts the word '400g'"), (9, 10, "cuts the word '400g'"), (10, 11, "no word")],
)
def test_a_span_that_is_not_whole_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, start: int, end: int, fault: str
) -> None:
    cut = {"text": "milk, 400g fat", "label": [[start, end, "x"], [11, 14, "y"]]}
    content = lines(*[{"text": "whole milk", "label": [[0, 5, "x"]]}], cut, cut)
    with pytest.raises(BertFtError, match=f"a:2: .*{fault}"):
        read(tmp_path / "a", content, training=True)
    assert len(read(tmp_path / "a", content, training=True, skip=True).examples) == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING, "bert_ft"):
        assert read(tmp_path / "a", content).examples[1].spans == [Span("x", start, end), Span("y", 11, 14)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a'}:2: 2 spans do not end where words end; they stay and count as missed"
    ]


def test_an_ideograph_is_a_word_and_an_accent_is_part_of_one(tmp_path: Path) -> None:
    content = lines(
        {"text": "叶老cafe\u0301x桂", "label": [[1, 2, "n"]]}, {"text": "cafe\u0301 x", "label": [[0, 5, "n"]]}
    )
    assert len(read(tmp_path / "a", content, training=True).examples) == 2
    with pytest.raises(BertFtError, match="cuts the word"):
        read(tmp_path / "a", lines({"text": "cafe\u0301 x", "label": [[0, 4, "n"]]}), training=True)


def tasteset(path: Path, *rows: tuple[str, list[dict[str, Any]]], header: bool = True) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ingredients", "ingredients_entities"])
        writer.writerows([text, json.dumps(entities)] for text, entities in rows)
    return path.read_text(encoding="utf-8")


RECIPE = '5 ounces rum\n\n¼" of "bay", dried\n'
SPANS = [
    {"start": 21, "end": 24, "type": "FOOD", "entity": "bay"},
    {"start": 0, "end": 1, "type": "QUANTITY", "entity": "5"},
]


def test_tasteset_rows_of_many_lines(tmp_path: Path) -> None:
    content = tasteset(tmp_path / "a.csv", (RECIPE, SPANS), ("rum\n", []))
    texts = read(tmp_path / "a.csv", content, training=True)
    assert texts.format == "tasteset"
    assert [(example.text, example.line) for example in texts.examples] == [(RECIPE, 2), ("rum\n", 6)]
    assert surfaces(texts) == [[("QUANTITY", "5"), ("FOOD", "bay")], []]
    crlf = read(tmp_path / "a.csv", content.replace("\r\n", "\n").replace("\n", "\r\n"))
    assert [example[:3] for example in crlf.examples] == [example[:3] for example in texts.examples]


def test_tasteset_without_entities_is_test_data(tmp_path: Path) -> None:
    texts = read(tmp_path / "a.csv", 'id,ingredients\n1,"rum\nmilk"\n2,gin\n')
    assert not texts.labelled
    assert [example.text for example in texts.examples] == ["rum\nmilk", "gin"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            '"rum","[{""start"": 0, ""end"": 3, ""type"": ""FOOD"", ""entity"": ""gin""}]"',
            "is 'rum' in the text, 'gin'",
        ),
        ("rum", "1 columns where the header has 2"),
        ("rum,[", "ingredients_entities is not JSON"),
        ("rum,", "ingredients_entities is not JSON"),
        ("rum,[1]", "ingredients_entities is not a list of objects"),
        ('rum,"[{""start"": 0}]"', "the type of a span is None"),
    ],
)
def test_bad_tasteset_rows_are_named_by_their_first_line(tmp_path: Path, row: str, fault: str) -> None:
    content = tasteset(tmp_path / "a.csv", (RECIPE, SPANS)) + row + "\n"
    with pytest.raises(BertFtError, match=rf"a\.csv:6: .*{fault}"):
        read(tmp_path / "a.csv", content)
    assert len(read(tmp_path / "a.csv", content, skip=True).examples) == 1


def test_a_row_that_lost_a_line_to_bad_utf8_is_not_read_on(tmp_path: Path) -> None:
    content = b'ingredients,ingredients_entities\n"rum\xff\ngin",[]\nmilk,[]\n'
    for skip, fault in ((False, "not UTF-8 at byte 4"), (True, "a CSV file must be UTF-8 throughout")):
        with pytest.raises(BertFtError, match=f"a:2: {fault}"):
            read(tmp_path / "a", content, skip=skip)


def test_an_open_quote_and_a_wrong_header_are_told(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"a:3: the CSV breaks in this row"):
        read(tmp_path / "a", 'ingredients,ingredients_entities\nrum,[]\n"gin,[]\nmilk,[]\n', skip=True)
    with pytest.raises(BertFtError, match="a:1: no column ingredients"):
        read(tmp_path / "a", "text,label\nrum,[]\n", format="tasteset")
