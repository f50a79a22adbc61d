"""Google's BasicTokenizer with a map back to the text: every character of a word knows where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from unicodedata import category, combining, normalize

_PLAIN, _DROPPED, _SPACE, _IDEOGRAPH = range(4)
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Word(NamedTuple):
    """One word, ready for WordPiece.

    Attributes:
        text: the word, lower-cased and without accents where that was asked for.
        where: for each character of ``text`` the index of the character it was made from.
    """

    text: str
    where: list[int]


class BasicTokenizer:
    """Splits text at white space, punctuation and ideographs, as ``bert.tokenization.BasicTokenizer`` does.

    Lone surrogates are dropped: they cannot be written as UTF-8, so they count as U+FFFD, which Google drops.

    Args:
        do_lower_case: lower-case and strip accents.
    """

    def __init__(self, do_lower_case: bool = True) -> None:
        self.do_lower_case = do_lower_case

    def tokenize(self, text: str) -> list[Word]:
        words: list[Word] = []
        chars: list[str] = []
        where: list[int] = []
        for i, char in enumerate(text):
            kind = _kind(char)
            if kind == _PLAIN:
                chars.append(char)
                where.append(i)
            elif kind != _DROPPED:
                if chars:
                    words += self._finish("".join(chars), where)
                    chars, where = [], []
                if kind == _IDEOGRAPH:
                    # A compatibility ideograph decomposes to one other ideograph.
                    words.append(Word(normalize("NFD", char) if self.do_lower_case else char, [i]))
        words += self._finish("".join(chars), where)
        return words

    def _finish(self, chars: str, where: list[int]) -> Iterable[Word]:
        if self.do_lower_case:
            chars, where = _strip_accents(*_lower(chars, where))
        return _split_punctuation(chars, where)


@lru_cache(maxsize=1 << 16)
def _kind(char: str) -> int:
    code = ord(char)
    group = category(char)
    if char in "\t\n\r" or group == "Zs":
        return _SPACE
    if code in (0, 0xFFFD) or group in ("Cc", "Cf", "Cs"):
        return _DROPPED
    # Line and paragraph separators pass Google's cleaning, but str.split() parts words at them afterwards.
    if char.isspace():
        return _SPACE
    return _IDEOGRAPH if any(low <= code <= high for low, high in _IDEOGRAPHS) else _PLAIN


@lru_cache(maxsize=1 << 16)
def _is_punctuation(char: str) -> bool:
    return (char.isascii() and char.isprintable() and not char.isalnum()) or category(char).startswith("P")


def _lower(chars: str, where: list[int]) -> tuple[str, list[int]]:
    # The word as a whole, since the form of a sigma depends on its neighbours; no character's length does.
    lowered = chars.lower()
    if len(lowered) != len(chars):
        where = [i for char, i in zip(chars, where, strict=True) for _ in char.lower()]
    return lowered, where


def _strip_accents(chars: str, where: list[int]) -> tuple[str, list[int]]:
    if chars.isascii():
        return chars, where
    # NFD in its two steps, so that the map can follow: decompose each character, then sort every run of
    # combining characters by combining class (Unicode Standard, section 3.11, D108 and D109).
    decomposed = []
    starters = 0
    for char, i in zip(chars, where, strict=True):
        for part in normalize("NFD", char):
            order = combining(part)
            starters += order == 0
            decomposed.append((starters, order, part, i))
    decomposed.sort(key=lambda entry: entry[:2])
    kept = [(part, i) for _, _, part, i in decomposed if category(part) != "Mn"]
    return "".join(part for part, _ in kept), [i for _, i in kept]


def _split_punctuation(chars: str, where: list[int]) -> Iterable[Word]:
    start = 0
    for end, char in enumerate(chars):
        if _is_punctuation(char):
            if start < end:
                yield Word(chars[start:end], where[start:end])
            yield Word(char, where[end : end + 1])
            start = end + 1
    if start < len(chars):
        yield Word(chars[start:], where[start:])
