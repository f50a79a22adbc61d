from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bert_ft.errors import BertFtError
from bert_ft.text.spans import Span
from tests.tasks.tagging.support import read, surfaces

CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
call NN I-NP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


@pytest.mark.parametrize("separator", [" ", "\t", "   ", " \t"])
@pytest.mark.parametrize("ending", ["", "\n", "\n \n\n"])
def test_columns_parted_by_spaces_or_tabs(tmp_path: Path, separator: str, ending: str) -> None:
    texts = read(tmp_path / "a", CONLL_2003.strip().replace(" ", separator) + ending)
    assert texts.format == "conll"
    assert texts.labelled
    assert [example.text for example in texts.examples] == ["EU rejects German call", "Peter Blackburn"]
    assert surfaces(texts) == [[("ORG", "EU"), ("MISC", "German")], [("PER", "Peter Blackburn")]]
    assert [example.line for example in texts.examples] == [3, 8]
    assert texts.types == ["MISC", "ORG", "PER"]


def test_text_and_units_of_chinese_with_latin(tmp_path: Path) -> None:
    lines = ["在 O", "New B-LOC", "York I-LOC", "，", "他 O", "\U00020000 O", "３ O", "か O", "km O", "。 O"]
    texts = read(tmp_path / "a", "\n".join(lines).replace("，", "， O"))
    (example,) = texts.examples
    assert example.text == "在 New York ，他\U00020000３か km 。"
    assert [example.text[a:b] for a, b in example.units or []] == [line.split(" ")[0] for line in lines]
    assert example.spans == [Span("LOC", 2, 10)]


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("  O", " "),
        (" \tO", " "),
        (" O", " "),
        ("\u3000 O", "\u3000"),
        ("\u00a0\tO", "\u00a0"),
        ("New York\tO", "New York"),
        ("\ufeff O", "\ufeff"),
        ("\ufffd\ufffd O", "\ufffd\ufffd"),
        ("# O", "#"),
        ("{ O", "{"),
        ('" O', '"'),
        ("\u2028 O", "\u2028"),
    ],
)
def test_odd_tokens(tmp_path: Path, line: str, token: str) -> None:
    (example,) = read(tmp_path / "a", f"我 B-PER\n{line}\n们 O\n").examples
    units = example.units or []
    assert [example.text[a:b] for a, b in units] == ["我", token, "们"]


def test_crlf_byte_order_mark_and_document_marks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bert_ft"):
        texts = read(tmp_path / "a", b"\xef\xbb\xbfEU\tB-ORG\r\n-DOCSTART-\tO\r\nit\tO\r\n\r\nWHO\tB-ORG")
    assert [example.text for example in texts.examples] == ["EU", "it", "WHO"]
    assert surfaces(texts)[0] == [("ORG", "EU")]
    assert "a:1: byte order mark" in caplog.text
    assert "a:1: CRLF line ends, 4 lines" in caplog.text


def test_one_column_is_test_data(tmp_path: Path) -> None:
    texts = read(tmp_path / "a", "EU\nrejects\n\nPeter\n")
    assert not texts.labelled
    assert [(example.text, example.spans) for example in texts.examples] == [("EU rejects", []), ("Peter", [])]
    with pytest.raises(BertFtError, match="no text has labels"):
        read(tmp_path / "a", "EU\nrejects\n", training=True)


def test_only_o_is_labelled(tmp_path: Path) -> None:
    assert read(tmp_path / "a", "EU O\nrejects O\n").labelled


def test_comment_lines_before_a_sentence(tmp_path: Path) -> None:
    texts = read(tmp_path / "a", "# id 12\tdomain=en\nEU _ _ B-ORG\n# _ _ O\n1 _ _ O\n\n# id 13\tdomain=en\nit _ _ O\n")
    assert [example.text for example in texts.examples] == ["EU # 1", "it"]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("New York B-LOC", "3 columns where the file has 2"),
        ("York", "1 column where the file has 2"),
        ("\tO", "the token is empty"),
        ("York I-LOC", "I-LOC after O begins no entity in a file of BIO tags"),
        ("York X-LOC", "unknown tag form 'X-LOC'"),
        ("York B-", "unknown tag form 'B-'"),
        ("York o", "unknown tag form 'o'"),
    ],
)
def test_bad_lines_are_named_and_cost_their_sentence(tmp_path: Path, bad: str, fault: str) -> None:
    content = f"EU B-ORG\n\nin O\n{bad}\nnow O\n\nWHO B-ORG\n"
    with pytest.raises(BertFtError, match=rf"a:4: {fault}"):
        read(tmp_path / "a", content)
    assert [example.text for example in read(tmp_path / "a", content, skip=True).examples] == ["EU", "WHO"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_that_is_not_utf8_costs_its_sentence(tmp_path: Path, place: int) -> None:
    tokens = [b"in O\n", b"now O\n"]
    tokens.insert(place, b"\xff\xfe B-LOC\n")
    content = b"EU B-ORG\n\n" + b"".join(tokens) + b"\nWHO B-ORG\n"
    with pytest.raises(BertFtError, match=f"a:{3 + place}: not UTF-8"):
        read(tmp_path / "a", content)
    assert [example.text for example in read(tmp_path / "a", content, skip=True).examples] == ["EU", "WHO"]


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART- O\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    with pytest.raises(BertFtError, match="no usable row"):
        read(tmp_path / "a", content)


def test_labels_of_a_classification_file_are_not_taken_for_types(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match="a:1: unknown tag form 'good'"):
        read(tmp_path / "a", "fine film\tgood\ndull film\tbad\n")
