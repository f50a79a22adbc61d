"""vocab.txt: one token a line; the line number, from 0, is the row of the embedding table."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small

PAD, UNK, CLS, SEP = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


class Vocab:
    """The word pieces of a checkpoint.

    Args:
        tokens: the tokens in id order; a token that stands twice has the later id.
        name: what error messages call it, usually the path of the file.

    Attributes:
        tokens: list, index = id.
        ids: dict, token to id.
        pad_id: id of [PAD]; 0 where the vocabulary has none, which is what Google's code pads with.
        unk_id, cls_id, sep_id: ids of [UNK], [CLS] and [SEP].

    Raises:
        BertFtError: [UNK], [CLS] or [SEP] is missing.
    """

    def __init__(self, tokens: Sequence[str], name: str = "vocabulary") -> None:
        self.tokens = list(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        missing = [token for token in (UNK, CLS, SEP) if token not in self.ids]
        if missing:
            raise BertFtError(
                f"{name}: no line {' or '.join(missing)}; give the vocab.txt that belongs to the checkpoint"
            )
        self.pad_id = self.ids.get(PAD, 0)
        self.unk_id = self.ids[UNK]
        self.cls_id = self.ids[CLS]
        self.sep_id = self.ids[SEP]

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocab:
        """Read a vocab.txt as Google's ``load_vocab`` does: lines end at \\n only and are stripped.

        Google's Chinese vocabulary holds U+2028, which is white space to ``str.strip``: the empty token that
        it leaves is kept, for its row of the embedding table exists. Empty lines at the end are ignored.

        Raises:
            BertFtError: the file is absent, empty, not UTF-8, has an empty line inside, or lacks a special
                token.
        """
        try:
            data = read_small(path)
        except FileNotFoundError:
            raise BertFtError(f"{path}: no such file; --vocab_file must name the checkpoint's vocab.txt") from None
        except OSError as error:
            raise BertFtError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            row = data.count(b"\n", 0, error.start)
            raise BertFtError(f"{path}, line {row + 1}: not UTF-8; save the file as UTF-8") from None
        lines = text.rstrip(" \t\r\n").split("\n")
        if lines == [""]:
            raise BertFtError(f"{path}: the file is empty; give the vocab.txt that belongs to the checkpoint")
        for row, line in enumerate(lines):
            if not line.strip(" \t\r"):
                raise BertFtError(
                    f"{path}, line {row + 1}: empty line; every line is a row of the embedding table, so put "
                    "back the token that stood there"
                )
        return cls([line.strip() for line in lines], str(path))
