"""Google's FullTokenizer with character offsets, at the speed of the Rust WordPiece."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from bert_ft.text.basic import BasicTokenizer
from bert_ft.text.vocab import UNK, Vocab

MAX_CHARS_PER_WORD = 200

# Characters that the Rust normaliser treats as Google's code does, whatever stands beside them: assigned for
# long, no combining class, no capital sigma. The tests hold every one of them to the oracle.
_SAFE_TEXT = re.compile(
    "["
    "\u0000-\u02ff"  # Latin with its extensions, phonetic letters
    "\u0391-\u03a1\u03a4-\u03ce"  # Greek letters
    "\u0400-\u0482\u048a-\u0523"  # Cyrillic
    "\u1e00-\u1eff"  # Latin with accents, Vietnamese
    "\u2000-\u2064\u2070-\u208e\u20a0-\u20bf"  # punctuation, small figures, currencies
    "\u2100-\u214f\u2150-\u218b\u2190-\u23ff"  # letter-like, number forms, arrows, mathematics, technical
    "\u2460-\u27bf\u2b00-\u2b59"  # enclosed figures, boxes, shapes, symbols
    "\u2e80-\u2fd5\u3000-\u3029\u3030-\u303f"  # radicals, CJK punctuation
    "\u3041-\u3096\u309b-\u30ff\u3105-\u312d\u3131-\u318e"  # kana, bopomofo, jamo
    "\u3190-\u9fef\uf900-\ufad9"  # CJK symbols, ideographs and compatibility ideographs
    "\uac00-\ud7a3"  # Hangul syllables
    "\ufe00-\ufe19\ufe30-\ufe6b"  # variation selectors, vertical and small forms
    "\uff01-\uffee\ufffd"  # full-width and half-width forms
    "\U0001f1e6-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6c5\U0001f900-\U0001f9ff"  # emoji
    "\U00020000-\U0002a6d6"  # CJK extension B
    "]*"
)

# Rust's threads do not survive a fork: with this unset the library warns on stderr at every fork; with "true"
# a forked child would wait for them for ever. So it is set here, and forked children use one thread.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))


class Encoding(NamedTuple):
    """The word pieces of one text, without special tokens.

    Attributes:
        ids: vocabulary ids, length L.
        tokens: the pieces as the vocabulary writes them, length L.
        offsets: per piece the half-open range (start, end) of characters in the text as given, from the first
            to the last character that the piece was made from.
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]


class FullTokenizer:
    """Word pieces as Google's ``bert.tokenization.FullTokenizer`` makes them, token by token.

    Texts of characters on which the stock Rust normaliser is known to agree with Google's go to Rust whole.
    The words of any other text are made in Python and only cut into pieces in Rust. A special token written
    in a text, such as ``[MASK]``, is text like any other.

    Args:
        vocab: the vocabulary of the checkpoint.
        do_lower_case: lower-case and strip accents: True for uncased and Chinese checkpoints.
    """

    def __init__(self, vocab: Vocab, do_lower_case: bool = True) -> None:
        self.vocab = vocab
        self.do_lower_case = do_lower_case
        self._basic = BasicTokenizer(do_lower_case)
        model = WordPiece(vocab.ids, unk_token=UNK, max_input_chars_per_word=MAX_CHARS_PER_WORD)
        self._words = Tokenizer(model)
        self._texts = Tokenizer(model)
        self._texts.normalizer = BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=do_lower_case, lowercase=do_lower_case
        )
        self._texts.pre_tokenizer = BertPreTokenizer()

    def tokenize(self, text: str) -> list[str]:
        """The word pieces of one text."""
        return self.encode(text).tokens

    def encode(self, text: str) -> Encoding:
        """The word pieces of one text with ids and offsets."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """``encode`` for many texts, over all cores."""
        safe = [_SAFE_TEXT.fullmatch(text) is not None for text in texts]
        fast = iter(self._encode_safe([text for text, ok in zip(texts, safe, strict=True) if ok]))
        slow = iter(self._encode_any([text for text, ok in zip(texts, safe, strict=True) if not ok]))
        return [next(fast if ok else slow) for ok in safe]

    def encode_words(self, words: Sequence[str]) -> Encoding:
        """Tokens that the caller made himself: looked up as they are, [UNK] for those not in the vocabulary.

        There is no text they came from; the offsets are (0, length of the word).
        """
        get, unk_id, tokens = self.vocab.ids.get, self.vocab.unk_id, self.vocab.tokens
        ids = [get(word, unk_id) for word in words]
        return Encoding(ids, [tokens[i] for i in ids], [(0, len(word)) for word in words])

    def _encode_safe(self, texts: list[str]) -> list[Encoding]:
        return [self._encoding(e, e.offsets) for e in self._texts.encode_batch(texts, add_special_tokens=False)]

    def _encode_any(self, texts: list[str]) -> list[Encoding]:
        words = [self._basic.tokenize(text) for text in texts]
        encoded = self._words.encode_batch(
            [[word.text for word in of_text] for of_text in words],
            is_pretokenized=True,
            add_special_tokens=False,
        )
        result = []
        for of_text, encoding in zip(words, encoded, strict=True):
            offsets = []
            for index, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
                assert index is not None  # None marks special tokens, and there are none
                where = of_text[index].where[start:end]
                offsets.append((min(where), max(where) + 1))
            result.append(self._encoding(encoding, offsets))
        return result

    def _encoding(self, encoding: Any, offsets: list[tuple[int, int]]) -> Encoding:
        # The vocabulary's own strings: quicker than new ones from Rust, and shared between all texts.
        ids = encoding.ids
        return Encoding(ids, list(map(self.vocab.tokens.__getitem__, ids)), offsets)
