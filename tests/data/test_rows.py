from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bert_ft.data.rows import BadRows
from bert_ft.data.tables import read_table
from bert_ft.errors import BertFtError


def read_rows(path: Path, bad_rows: BadRows) -> list[tuple[int, list[str]]]:
    """Line and cells of each row of a table."""
    return [(line, cells[:width]) for *cells, line, width in read_table(path, bad_rows).to_numpy().tolist()]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_rows_have_their_line_numbers_and_quotes_mean_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b'1\t"good\n\n2\tbad" day\n')
    assert read_rows(path, BadRows()) == [(1, ["1", '"good']), (3, ["2", 'bad" day'])]


def test_separators_inside_a_text_do_not_end_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\ta\u2028b\x0bc\x85d\n".encode())
    assert [cells for _, cells in read_rows(path, BadRows())] == [["1", "a\u2028b\x0bc\x85d"]]


def test_a_byte_order_mark_and_crlf_are_taken_off_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.tsv", b"\xef\xbb\xbf1\tgood\r\n2\tbad\r\n")
    with caplog.at_level(logging.WARNING, "bert_ft"):
        assert [cells for _, cells in read_rows(path, BadRows())] == [["1", "good"], ["2", "bad"]]
    assert "a.tsv:1: byte order mark" in caplog.text
    assert "a.tsv:1: CRLF line ends, 2 lines" in caplog.text


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"1\tgood\n2\t\xff\xfe\n")
    with pytest.raises(BertFtError, match=r"a\.tsv:2: not UTF-8 at byte 2"):
        read_rows(path, BadRows())
    assert [line for line, _ in read_rows(path, BadRows(skip=True))] == [1]


def test_utf16_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\tgood\n".encode("utf-16"))
    with pytest.raises(BertFtError, match="UTF-16; save it as UTF-8"):
        read_rows(path, BadRows())


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"none\.tsv: cannot be read"):
        read_rows(tmp_path / "none.tsv", BadRows())
