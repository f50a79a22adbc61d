"""From texts to what the model reads: pairs, truncation, special tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bert_ft.errors import BertFtError
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import Encoding, FullTokenizer
from bert_ft.text.vocab import CLS, SEP

PAIR_MARK = "|||"
_NO_RANGE = (0, 0)


class InputBuilder:
    """Builds ``[CLS] a [SEP]`` and ``[CLS] a [SEP] b [SEP]`` of at most ``max_seq_length`` tokens.

    A single text keeps its first ``max_seq_length - 2`` pieces. Of a pair the longer side loses pieces from
    its end, one at a time, the second on a tie, until ``max_seq_length - 3`` are left. A second text without
    pieces counts as none.

    Args:
        tokenizer: makes the pieces.
        max_seq_length: most tokens of one input, special tokens included; at least 3.
        no_special_token: leave out [CLS] and [SEP] around tokenised input that is no pair (bert-as-service's
            ``-no_special_token``).

    Raises:
        BertFtError: ``max_seq_length`` is below 3.
    """

    def __init__(self, tokenizer: FullTokenizer, max_seq_length: int, no_special_token: bool = False) -> None:
        if max_seq_length < 3:
            raise BertFtError(
                f"max_seq_length is {max_seq_length}; it must be at least 3 to hold [CLS], a token and [SEP]"
            )
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length
        self.no_special_token = no_special_token

    def texts(self, texts: Sequence[str]) -> list[InputFeatures]:
        """Texts as bert-as-service takes them: `` ||| `` parts a pair, at its last place in the text.

        A newline inside the text switches the pair rule off, as it does in the original. Offsets of both
        sides are into the whole text.
        """
        split = [_split_pair(text) for text in texts]
        result = []
        for (first, second), (_, _, base) in zip(self._encode((a, b) for a, b, _ in split), split, strict=True):
            if second is not None and base:
                second = second._replace(offsets=[(start + base, end + base) for start, end in second.offsets])
            result.append(self._build(first, second))
        return result

    def pairs(self, pairs: Sequence[tuple[str, str | None]]) -> list[InputFeatures]:
        """Texts with their second text or None; `` ||| `` means nothing here.

        Offsets are into each own text.
        """
        return [self._build(first, second) for first, second in self._encode(pairs)]

    def tokenized(self, texts: Sequence[Sequence[str]]) -> list[InputFeatures]:
        """Texts as lists of tokens, looked up as they are; the first ``'|||'`` element parts a pair.

        Offsets are (0, length of the token).

        Raises:
            BertFtError: a text has no token and ``no_special_token`` is set, so nothing is left to encode.
        """
        result = []
        for number, words in enumerate(texts):
            cut = words.index(PAIR_MARK) if PAIR_MARK in words else len(words)
            first = self.tokenizer.encode_words(words[:cut])
            second = self.tokenizer.encode_words(words[cut + 1 :])
            if self.no_special_token and not second.ids:
                if not first.ids:
                    raise BertFtError(
                        f"text {number} has no tokens, and with no_special_token there is nothing to encode; "
                        "leave it out"
                    )
                result.append(self._bare(first))
            else:
                result.append(self._build(first, second))
        return result

    def _encode(self, pairs: Iterable[tuple[str, str | None]]) -> Iterable[tuple[Encoding, Encoding | None]]:
        pairs = list(pairs)
        encodings = iter(self.tokenizer.encode_batch([text for pair in pairs for text in pair if text is not None]))
        for _, b in pairs:
            yield next(encodings), None if b is None else next(encodings)

    def _build(self, first: Encoding, second: Encoding | None) -> InputFeatures:
        vocab = self.tokenizer.vocab
        if second is None or not second.ids:
            kept = min(len(first.ids), self.max_seq_length - 2)
            return InputFeatures(
                ids=[vocab.cls_id, *first.ids[:kept], vocab.sep_id],
                segments=[0] * (kept + 2),
                special=(0, kept + 1),
                tokens=[CLS, *first.tokens[:kept], SEP],
                offsets=[_NO_RANGE, *first.offsets[:kept], _NO_RANGE],
                truncated=kept < len(first.ids),
            )
        a, b = _truncated_lengths(len(first.ids), len(second.ids), self.max_seq_length - 3)
        return InputFeatures(
            ids=[vocab.cls_id, *first.ids[:a], vocab.sep_id, *second.ids[:b], vocab.sep_id],
            segments=[0] * (a + 2) + [1] * (b + 1),
            special=(0, a + 1, a + b + 2),
            tokens=[CLS, *first.tokens[:a], SEP, *second.tokens[:b], SEP],
            offsets=[_NO_RANGE, *first.offsets[:a], _NO_RANGE, *second.offsets[:b], _NO_RANGE],
            truncated=a < len(first.ids) or b < len(second.ids),
        )

    def _bare(self, words: Encoding) -> InputFeatures:
        kept = min(len(words.ids), self.max_seq_length)
        return InputFeatures(
            ids=words.ids[:kept],
            segments=[0] * kept,
            special=(),
            tokens=words.tokens[:kept],
            offsets=words.offsets[:kept],
            truncated=kept < len(words.ids),
        )


def _split_pair(text: str) -> tuple[str, str | None, int]:
    """First text, second text or None, and where the second begins.

    The same as matching ``^(.*) \\|\\|\\| (.*)$`` on the stripped text, where ``.`` is no newline.
    """
    mark = f" {PAIR_MARK} "
    if mark not in text:
        return text, None, 0
    end = len(text.rstrip())
    at = text.rfind(mark, len(text) - len(text.lstrip()), end)
    if at < 0 or "\n" in text.strip():
        return text, None, 0
    return text[:at], text[at + len(mark) : end], at + len(mark)


def _truncated_lengths(a: int, b: int, room: int) -> tuple[int, int]:
    """How many pieces stay when the longer side gives up one at a time, the second on a tie."""
    excess = a + b - room
    if excess <= 0:
        return a, b
    uneven = min(excess, abs(a - b))
    a, b = (a - uneven, b) if a > b else (a, b - uneven)
    excess -= uneven
    return a - excess // 2, b - (excess - excess // 2)
