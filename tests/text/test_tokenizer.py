"""FullTokenizer against Google's, and the offsets it adds."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from unicodedata import category, combining, normalize

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bert_ft.text.tokenizer import _SAFE_TEXT, FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.oracles import google_tokenizer
from tests.text.strategies import NASTY, unicode_texts


@settings(max_examples=500)
@given(text=unicode_texts)
def test_pieces_are_googles(tokenizer: FullTokenizer, google: Any, text: str) -> None:
    encoding = tokenizer.encode(text)
    assert encoding.tokens == google.tokenize(text)
    assert encoding.ids == google.convert_tokens_to_ids(encoding.tokens)
    assert len(encoding.offsets) == len(encoding.ids)


@pytest.mark.parametrize("text", NASTY)
def test_written_corners_are_googles(tokenizer: FullTokenizer, google: Any, text: str) -> None:
    assert tokenizer.tokenize(text) == google.tokenize(text)


def test_word_of_200_characters_is_cut_and_of_201_is_unknown(tokenizer: FullTokenizer) -> None:
    for letter, road in (("a", "fast"), ("\u0378", "slow")):
        assert (_SAFE_TEXT.fullmatch(letter) is not None) == (road == "fast")
        assert "[UNK]" not in tokenizer.tokenize(letter * 200)
        assert tokenizer.tokenize(letter * 201) == ["[UNK]"]


def test_special_tokens_in_the_text_are_text(tokenizer: FullTokenizer, do_lower_case: bool) -> None:
    pieces = ["[", "ma", "##sk", "]"] if do_lower_case else ["[", "M", "##A", "##S", "##K", "]"]
    assert tokenizer.tokenize("[MASK]") == pieces


def _is_one_to_one(char: str) -> bool:
    parts = normalize("NFD", char.lower())
    kept = [part for part in parts if category(part) != "Mn"]
    return len(kept) <= 1 and all(combining(part) == 0 for part in kept)


@given(text=unicode_texts)
def test_offsets_lie_in_the_text_and_go_forward(tokenizer: FullTokenizer, text: str) -> None:
    offsets = tokenizer.encode(text).offsets
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    # Where canonical ordering moved a mark that stays, the order of the text is not that of the pieces.
    if all(combining(c) == 0 or category(c) == "Mn" for c in normalize("NFD", text)):
        assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(offsets))


@given(text=unicode_texts)
def test_offsets_cut_out_the_surface_of_each_piece(tokenizer: FullTokenizer, google: Any, text: str) -> None:
    """Cut out of the text and put through Google's code alone, a range gives the piece again."""
    assume(all(_is_one_to_one(char) and category(char) != "Mn" for char in text))
    encoding = tokenizer.encode(text)
    end_before = 0
    for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True):
        words = google.basic_tokenizer.tokenize(text[start:end])
        assert len(words) == 1, "a piece lies within one word"
        if token != "[UNK]":
            assert words[0].replace("ς", "σ") == token.removeprefix("##" * (len(token) > 2)).replace("ς", "σ")
        assert google.basic_tokenizer.tokenize(text[start]) != []
        assert google.basic_tokenizer.tokenize(text[end - 1]) != []
        assert all(google.basic_tokenizer.tokenize(char) == [] for char in text[end_before:start])
        end_before = end
    assert google.basic_tokenizer.tokenize(text[end_before:]) == []


def test_offsets_count_characters_outside_the_bmp_once(tokenizer: FullTokenizer) -> None:
    encoding = tokenizer.encode("😂𠀀 今👩a\ue000 b")
    assert encoding.offsets == [(0, 1), (1, 2), (3, 4), (4, 5), (5, 6), (6, 7), (8, 9)]


@given(texts=st.lists(unicode_texts, max_size=6))
def test_batch_is_each_text_alone(tokenizer: FullTokenizer, texts: list[str]) -> None:
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


@pytest.mark.exhaustive
def test_safe_characters_go_through_rust_as_google_treats_them(tmp_path: Path, do_lower_case: bool) -> None:
    """Every character of the fast road, in a vocabulary that holds all their forms, so that none hides in [UNK]."""
    safe = [chr(code) for code in range(0x110000) if _SAFE_TEXT.fullmatch(chr(code))]
    assert len(safe) > 80_000
    parts = {c: normalize("NFD", c.lower()) for c in safe}
    # What stands beside a safe character can change nothing: no sorting of marks that stay, no final sigma.
    assert all(combining(c) == 0 and all(combining(p) == 0 or category(p) == "Mn" for p in parts[c]) for c in safe)
    assert "Σ" not in safe
    forms = dict.fromkeys(["[UNK]", "[CLS]", "[SEP]", "a", "##a", "b", "##b", "B", "##B"])
    for c in safe:
        for form in (c, *parts[c]):
            if not form.isspace():
                forms[form] = forms[f"##{form}"] = None
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(forms), encoding="utf-8", newline="\n")
    ours, google = FullTokenizer(Vocab.load(path), do_lower_case), google_tokenizer(path, do_lower_case)
    texts = [" ".join(f"a{c}B" for c in safe[i : i + 200]) for i in range(0, len(safe), 200)]
    fast = ours._encode_safe(texts)
    for text, encoding in zip(texts, fast, strict=True):
        assert encoding.tokens == google.tokenize(text)
    assert fast == ours._encode_any(texts), "both roads, offsets included"


def test_encode_words_looks_tokens_up_as_they_are(tokenizer: FullTokenizer) -> None:
    ids = tokenizer.vocab.ids
    encoding = tokenizer.encode_words(["hello", "Hello", "##aff", "[MASK]", "今天", "", "\ud800"])
    assert encoding.tokens == ["hello", "[UNK]", "##aff", "[MASK]", "[UNK]", "[UNK]", "[UNK]"]
    assert encoding.ids == [ids[token] for token in encoding.tokens]
    assert encoding.offsets == [(0, 5), (0, 5), (0, 5), (0, 6), (0, 2), (0, 0), (0, 1)]


def test_forked_child_tokenizes_without_hanging_or_warning(vocab_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from bert_ft.text.tokenizer import FullTokenizer\n"
        "from bert_ft.text.vocab import Vocab\n"
        "tokenizer = FullTokenizer(Vocab.load(sys.argv[1]))\n"
        "before = tokenizer.encode_batch(['a b'] * 500)\n"
        "pid = os.fork()\n"
        "same = tokenizer.encode_batch(['a b'] * 500) == before\n"
        "if not pid: os._exit(not same)\n"
        "assert os.waitpid(pid, 0)[1] == 0 and 'tensorflow' not in sys.modules\n"
    )
    for parallelism in (None, "true"):
        env = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
        if parallelism:
            env["TOKENIZERS_PARALLELISM"] = parallelism
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(vocab_path)],
            env={**env, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
