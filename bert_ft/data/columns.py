"""Which column of a table is meant: the one of a name or number, or of a name that such columns usually have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bert_ft.errors import BertFtError

Column = int | str
"""A number from 0, or from the end when negative; or a name."""

TEXT = (
    *("sentence1", "sentencea", "text1", "texta", "s1", "query1", "question1"),
    *("text", "sentence", "content", "review", "question", "query", "文本", "内容"),
)
TEXT_B = ("sentence2", "sentenceb", "text2", "textb", "s2", "query2", "question2")
LABEL = ("label", "labels", "class", "category", "target", "intent", "emotion", "sentiment", "标签", "类别")
SCORE = ("score", "similarityscore", "similarity", "goldscore", "gold", "label")

_DELIMITERS = ("\t", "||", ",", ";")


def plain_name(name: str) -> str:
    """A column's name as the lists of known names spell it.

    Example:
        >>> plain_name(" Text_A")
        'texta'
    """
    return re.sub(r"[\s_-]+", "", name).lower()


def known_column(names: Sequence[str], known: Sequence[str]) -> int | None:
    """The number of the column whose name stands first in a list of known names."""
    plain = [plain_name(name) for name in names]
    return next((plain.index(name) for name in known if name in plain), None)


def find_column(names: Sequence[str], given: Column | None, option: str, place: str, known: Sequence[str] = ()) -> int:
    """The number of a column.

    Args:
        names: of the columns, or the first row of a table without names.
        given: by the user; None takes the column with a known name.
        option: where it is given, such as "text_column".
        place: file and line of the names.

    Raises:
        BertFtError: there is no such column.
    """
    if isinstance(given, int):
        return given
    names = [name.strip() for name in names]
    if given is None:
        number = known_column(names, known)
    elif given in names:
        number = names.index(given)
    else:
        number = int(given) if given.isdecimal() and int(given) < len(names) else None
    if number is None:
        sought = f"no column {given!r} for --{option}"
        if given is None:
            sought = f"no column has a name such as {option.partition('_')[0]}; say which one it is with --{option}"
        raise BertFtError(f"{place}: {sought}; there are {', '.join(names)}")
    return number


def column_flag(value: str | int) -> Column:
    """The value of a flag: a number where it is one.

    Example:
        >>> column_flag("-1"), column_flag("label")
        (-1, 'label')
    """
    try:
        return int(value)
    except ValueError:
        return value


def find_delimiter(line: str, columns: int, among: Sequence[str] = _DELIMITERS) -> str | None:
    """What parts a line into that many columns or more: the first that does of tab, ``||``, comma and semicolon."""
    return next((delimiter for delimiter in among if line.count(delimiter) >= columns - 1), None)
