from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bert_ft.errors import BertFtError
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab

SPACES = " \t\n\r\x1c\x85\u2028\u3000"
marked_texts = st.lists(
    st.sampled_from([" ||| ", "|||", "||| ", " ||", "|", "a", "hello", "今", "é", "\U00020000", *SPACES]),
    max_size=10,
).map("".join)


@pytest.fixture(scope="module")
def uncased(vocab_path: Path) -> FullTokenizer:
    return FullTokenizer(Vocab.load(vocab_path))


def _truncate_one_by_one(a: list[str], b: list[str], room: int) -> tuple[list[str], list[str]]:
    """The rule as the papers' scripts state it: a piece at a time off the longer, off the second on a tie."""
    a, b = list(a), list(b)
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()
    return a, b


def _check_shape(features: InputFeatures, max_seq_length: int) -> None:
    assert 0 < len(features.ids) <= max_seq_length
    assert len(features.ids) == len(features.segments) == len(features.tokens) == len(features.offsets)


@example("a\nb ||| c", 20)
@example("a ||| b\nc", 20)
@example("\n a ||| b\n", 20)
@example("a ||| b ||| ||| c", 20)
@example(" ||| b", 20)
@example("a ||| \u200b", 4)
@given(text=marked_texts, max_seq_length=st.integers(3, 40))
def test_texts_split_where_the_original_expression_splits(
    uncased: FullTokenizer, text: str, max_seq_length: int
) -> None:
    match = re.match(r"^(.*) \|\|\| (.*)$", text.strip())
    a, b = match.groups() if match else (text, None)
    builder = InputBuilder(uncased, max_seq_length)
    (features,) = builder.texts([text])
    (expected,) = builder.pairs([(a, b)])
    assert features[:4] == expected[:4]
    _check_shape(features, max_seq_length)


@given(text=marked_texts)
def test_offsets_of_a_marked_pair_are_into_the_whole_text(uncased: FullTokenizer, text: str) -> None:
    (features,) = InputBuilder(uncased, 512).texts([text])
    cursor = 0
    for i, (start, end) in enumerate(features.offsets):
        if i in features.special:
            assert (start, end) == (0, 0)
            continue
        assert cursor <= start < end <= len(text)
        assert uncased.tokenize(text[start:end]) == [features.tokens[i].removeprefix("##")]
        cursor = end
    covered = {c for start, end in features.offsets for c in range(start, end)}
    if len(features.special) == 3:
        mark = text.strip().rfind(" ||| ") + len(text) - len(text.lstrip())
        assert covered.isdisjoint(range(mark, mark + 5))
        covered |= set(range(mark, mark + 5))
    assert all(char in SPACES for i, char in enumerate(text) if i not in covered)


@given(a=st.integers(0, 30), b=st.none() | st.integers(0, 30), max_seq_length=st.integers(3, 40), extra=st.booleans())
def test_truncation_takes_from_the_longer_side(
    uncased: FullTokenizer, a: int, b: int | None, max_seq_length: int, extra: bool
) -> None:
    first = list("abcdefghijklmnopqrstuvwxyz0123")[:a]
    second = None if b is None else list("0123456789zyxwvutsrqponmlkjihg")[:b]
    builder = InputBuilder(uncased, max_seq_length, no_special_token=extra)
    (features,) = builder.pairs([(" ".join(first), None if second is None else " ".join(second))])
    if not second:
        kept = first[: max_seq_length - 2]
        assert features.tokens == ["[CLS]", *kept, "[SEP]"]
        assert features.segments == [0] * len(features.tokens)
        assert features.special == (0, len(kept) + 1)
        assert features.truncated == (kept != first)
    else:
        x, y = _truncate_one_by_one(first, second, max_seq_length - 3)
        assert features.tokens == ["[CLS]", *x, "[SEP]", *y, "[SEP]"]
        assert features.segments == [0] * (len(x) + 2) + [1] * (len(y) + 1)
        assert [features.tokens[i] for i in features.special] == ["[CLS]", "[SEP]", "[SEP]"]
        assert features.special[1:] == (len(x) + 1, len(x) + len(y) + 2)
        assert features.truncated == ((x, y) != (first, second))
    assert features.ids == [uncased.vocab.ids[token] for token in features.tokens]
    _check_shape(features, max_seq_length)


def test_texts_without_pieces_are_cls_sep(uncased: FullTokenizer) -> None:
    builder = InputBuilder(uncased, 8, no_special_token=True)
    for features in [*builder.texts(["", " \n", "\u200b"]), *builder.pairs([("", None), ("", "")])]:
        assert features.tokens == ["[CLS]", "[SEP]"]
        assert not features.truncated


def test_pairs_know_no_mark_and_count_offsets_in_their_own_text(uncased: FullTokenizer) -> None:
    single, pair = InputBuilder(uncased, 32).pairs([("a ||| b", None), ("hello", " hello")])
    assert single.tokens == ["[CLS]", "a", "|", "|", "|", "b", "[SEP]"]
    assert pair.offsets == [(0, 0), (0, 5), (0, 0), (1, 6), (0, 0)]


def test_many_texts_keep_their_order(uncased: FullTokenizer) -> None:
    texts = ["a", "a ||| b", "\ue000", "", "x \ue000 ||| ΑΣ", "hello ||| ", "今天"]
    builder = InputBuilder(uncased, 16)
    assert builder.texts(texts) == [builder.texts([text])[0] for text in texts]


def test_tokenized_input_splits_at_the_first_mark_element(uncased: FullTokenizer) -> None:
    pair, single, empty = InputBuilder(uncased, 16).tokenized([["a", "|||", "b", "|||", "A|||"], ["a", "|||"], []])
    assert pair.tokens == ["[CLS]", "a", "[SEP]", "b", "[UNK]", "[UNK]", "[SEP]"]
    assert pair.segments == [0, 0, 0, 1, 1, 1, 1]
    assert single.tokens == ["[CLS]", "a", "[SEP]"]
    assert empty.tokens == ["[CLS]", "[SEP]"]


def test_no_special_token_is_for_tokenized_input_that_is_no_pair(uncased: FullTokenizer) -> None:
    builder = InputBuilder(uncased, 4, no_special_token=True)
    bare, cut, pair = builder.tokenized([["a", "b", "c"], list("abcde"), ["a", "|||", "b"]])
    assert (bare.tokens, bare.special, bare.segments, bare.truncated) == (["a", "b", "c"], (), [0, 0, 0], False)
    assert (cut.tokens, cut.truncated) == (["a", "b", "c", "d"], True)
    assert pair.tokens == ["[CLS]", "a", "[SEP]", "[SEP]"]
    assert builder.texts(["a b c"])[0].tokens == ["[CLS]", "a", "b", "[SEP]"]


def test_faults_are_said(uncased: FullTokenizer) -> None:
    with pytest.raises(BertFtError, match="text 1 has no tokens"):
        InputBuilder(uncased, 4, no_special_token=True).tokenized([["a"], ["|||"]])
    with pytest.raises(BertFtError, match="max_seq_length is 2"):
        InputBuilder(uncased, 2)
