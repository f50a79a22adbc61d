from __future__ import annotations

import re
from pathlib import Path

import pytest

from bert_ft.errors import BertFtError
from bert_ft.text.vocab import Vocab
from tests.oracles import google_tokenizer

SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"


def _write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        SPECIAL + "a\n",
        SPECIAL + "a",
        (SPECIAL + "a\nb\n").replace("\n", "\r\n"),
        SPECIAL + " a \n\u3000b\nc\u2028d\n\u2028\n##\u2028\n##e\x0bf\n\x85g\n",
    ],
    ids=["newline", "no newline", "crlf", "white space"],
)
def test_ids_are_googles(tmp_path: Path, content: str) -> None:
    path = _write(tmp_path, content)
    vocab = Vocab.load(path)
    assert vocab.ids == dict(google_tokenizer(path, True).vocab)
    assert [vocab.ids[token] for token in vocab.tokens] == list(range(len(vocab)))


def test_special_ids_are_line_numbers(tmp_path: Path) -> None:
    vocab = Vocab.load(_write(tmp_path, "[PAD]\na\n[SEP]\n[CLS]\nb\n[UNK]\n"))
    assert (vocab.pad_id, vocab.sep_id, vocab.cls_id, vocab.unk_id, len(vocab)) == (0, 2, 3, 5, 6)
    assert Vocab(["[UNK]", "[CLS]", "[SEP]"]).pad_id == 0


def test_repeated_token_keeps_the_later_row_and_moves_no_other(tmp_path: Path) -> None:
    vocab = Vocab.load(_write(tmp_path, SPECIAL + "a\na\nb\n"))
    assert (vocab.ids["a"], vocab.ids["b"], len(vocab)) == (5, 6, 7)
    assert vocab.tokens[4:] == ["a", "a", "b"]


def test_byte_order_mark_and_empty_lines_at_the_end_are_ignored(tmp_path: Path) -> None:
    assert Vocab.load(_write(tmp_path, "\ufeff" + SPECIAL + "a\n\n \r\n")).tokens == [*SPECIAL.split(), "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        (SPECIAL.encode() + b"a\n\xff\xfe\n", "line 6: not UTF-8"),
        (SPECIAL + "a\n\nb\n", "line 6: empty line"),
        ("[PAD]\n[CLS]\n[SEP]\na\n", r"no line \[UNK\]"),
        ("[PAD]\na\n", r"no line \[UNK\] or \[CLS\] or \[SEP\]"),
    ],
)
def test_faults_are_named_in_one_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(BertFtError, match=message) as caught:
        Vocab.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_file_and_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=re.escape(f"{tmp_path / 'none'}: no such file")):
        Vocab.load(tmp_path / "none")
    with pytest.raises(BertFtError, match="cannot be read"):
        Vocab.load(tmp_path)
