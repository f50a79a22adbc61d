"""BasicTokenizer against Google's, and its map back to the text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from bert_ft.text.basic import BasicTokenizer
from bert_ft.text.tokenizer import FullTokenizer
from tests.text.strategies import NASTY, unicode_texts


@settings(max_examples=500)
@given(text=unicode_texts)
def test_words_are_googles(google: Any, do_lower_case: bool, text: str) -> None:
    words = BasicTokenizer(do_lower_case).tokenize(text)
    assert [word.text for word in words] == google.basic_tokenizer.tokenize(text)
    assert all(len(word.where) == len(word.text) for word in words)


@pytest.mark.parametrize("text", NASTY)
def test_written_corners_give_googles_words(google: Any, do_lower_case: bool, text: str) -> None:
    words = BasicTokenizer(do_lower_case).tokenize(text)
    assert [word.text for word in words] == google.basic_tokenizer.tokenize(text)


@pytest.mark.exhaustive
def test_every_character_is_treated_as_googles_code_treats_it(google: Any, do_lower_case: bool) -> None:
    """Each character between two letters, with a mark after it; of the ideographs beyond the BMP a sample."""
    ours = BasicTokenizer(do_lower_case)
    for plane in (range(0xD800), range(0xE000, 0x20000), range(0x20000, 0x33000, 13), range(0xE0000, 0xE0200)):
        characters = [chr(code) for code in plane]
        for i in range(0, len(characters), 500):
            text = " ".join(f"a{c}\u0323B" for c in characters[i : i + 500])
            assert [w.text for w in ours.tokenize(text)] == google.basic_tokenizer.tokenize(text)


def test_map_names_the_character_each_letter_came_from() -> None:
    syllable = "\uac01"
    jamo = "\u1100\u1161\u11a8"
    assert BasicTokenizer().tokenize(f"É\u200bİx {syllable}") == [("eix", [0, 2, 3]), (jamo, [5, 5, 5])]
    # The dot has a higher combining class than the stem, so the stem is sorted before it; both are kept.
    head, stem, dot = "\U0001d158", "\U0001d165", "\U0001d16d"
    assert BasicTokenizer().tokenize(f"{head}{dot}{stem}") == [(f"{head}{stem}{dot}", [0, 2, 1])]


def test_lone_surrogates_are_dropped_as_google_drops_the_replacement_character(
    tokenizer: FullTokenizer, google: Any
) -> None:
    for text in ("a\ud800b", "\udfff", "今\udc00天", "\ud83d\ude02 x"):
        replaced = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
        assert tokenizer.tokenize(text) == google.tokenize(replaced)
