"""Texts of any length for tagging: units that carry a label, and overlapping windows that the model can read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bert_ft.errors import BertFtError
from bert_ft.text.boundaries import best_cut, break_ranks, join_tokens
from bert_ft.text.packing import InputFeatures
from bert_ft.text.spans import UnitSpan, with_marks
from bert_ft.text.tokenizer import Encoding, FullTokenizer
from bert_ft.text.vocab import CLS, SEP

_NO_RANGE = (0, 0)
_CONTEXT_SHARE = 8


class Window(NamedTuple):
    """A part of a text that goes through the model at once.

    Attributes:
        features: ``[CLS] pieces [SEP]``, at most ``max_seq_length`` of them.
        first_pieces: for each of ``units`` the position of its first piece in ``features.ids``.
        units: the units of the text that lie in the window.
        core: those of them that this window answers for; the others are context.
    """

    features: InputFeatures
    first_pieces: list[int]
    units: range
    core: range


class WindowedText(NamedTuple):
    """A text and its windows, whose cores follow one another without a gap.

    Attributes:
        text: the text as given; for tokenised input the tokens joined, without a space between CJK characters.
        units: half-open character range in ``text`` of each unit, in order.
        windows: at least one; a text of no units has one window of [CLS] and [SEP].
        is_tokenized: whether the units are tokens that the caller made.
    """

    text: str
    units: list[tuple[int, int]]
    windows: list[Window]
    is_tokenized: bool = False


class WindowBuilder:
    """Cuts texts into windows of at most ``max_seq_length`` pieces, at sentence ends where it can.

    The units of a raw text are the words of Google's BasicTokenizer: a CJK character, a word or number, a
    punctuation mark; the accents that belong to a word are in its range. The units of tokenised input are its
    tokens. A unit keeps all its pieces in one window, unless it has more than a window holds: then its first.

    Args:
        tokenizer: makes the pieces.
        max_seq_length: most pieces of one window, special tokens included; at least 3.
        overlap: pieces of context on each side of a core, where there is text and room for them
            [default: an eighth of ``max_seq_length``].

    Raises:
        BertFtError: ``max_seq_length`` is below 3.
    """

    def __init__(self, tokenizer: FullTokenizer, max_seq_length: int, overlap: int | None = None) -> None:
        if max_seq_length < 3:
            raise BertFtError(
                f"max_seq_length is {max_seq_length}; it must be at least 3 to hold [CLS], a token and [SEP]"
            )
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length
        self._room = max_seq_length - 2
        self._overlap = min(max_seq_length // _CONTEXT_SHARE if overlap is None else overlap, (self._room - 1) // 2)
        # A word never begins with ##: Google's code makes a word of each # that it meets.
        self._continues = [token.startswith("##") for token in tokenizer.vocab.tokens]

    def texts(self, texts: Sequence[str]) -> list[WindowedText]:
        """Windows of raw texts."""
        return [
            self._windowed(text, *self._words_of(text, encoding))
            for text, encoding in zip(texts, self.tokenizer.encode_batch(texts), strict=True)
        ]

    def words(self, texts: Sequence[Sequence[str]]) -> list[WindowedText]:
        """Windows of tokenised texts; a token without pieces, such as an empty one, is [UNK]."""
        pieces = self._pieces_of({token for tokens in texts for token in tokens})
        result = []
        for tokens in texts:
            text, units = join_tokens(tokens)
            windowed = self._windowed(text, units, *_laid_end_to_end(tokens, units, pieces))
            result.append(windowed._replace(is_tokenized=True))
        return result

    def with_units(self, text: str, units: Sequence[tuple[int, int]]) -> WindowedText:
        """Windows of a text whose units are given as ascending character ranges."""
        tokens = [text[start:end] for start, end in units]
        return self._windowed(text, list(units), *_laid_end_to_end(tokens, units, self._pieces_of(set(tokens))))

    def _words_of(self, text: str, encoding: Encoding) -> tuple[list[tuple[int, int]], Encoding, list[int]]:
        firsts = [i for i, token_id in enumerate(encoding.ids) if not self._continues[token_id]]
        if len(firsts) == len(encoding.ids):
            units = encoding.offsets
        else:
            # A combining mark that stays may have been moved past the word's last character.
            units = [
                (min(s for s, _ in encoding.offsets[a:b]), max(e for _, e in encoding.offsets[a:b]))
                if b - a > 1
                else encoding.offsets[a]
                for a, b in pairwise([*firsts, len(encoding.ids)])
            ]
        return with_marks(text, units), encoding, firsts

    def _pieces_of(self, tokens: set[str]) -> dict[str, Encoding]:
        vocab = self.tokenizer.vocab
        ordered = sorted(tokens)
        encodings = self.tokenizer.encode_batch(ordered)
        return {
            token: encoding
            if encoding.ids
            else Encoding([vocab.unk_id], [vocab.tokens[vocab.unk_id]], [(0, len(token))])
            for token, encoding in zip(ordered, encodings, strict=True)
        }

    def _windowed(self, text: str, units: list[tuple[int, int]], encoding: Encoding, firsts: list[int]) -> WindowedText:
        count = len(units)
        bounds = [*firsts, len(encoding.ids)]
        if bounds[-1] <= self._room:
            return WindowedText(text, units, [self._window(encoding, bounds, range(count), range(count))])
        sizes = [min(end - start, self._room) for start, end in pairwise(bounds)]
        windows = [
            self._window(encoding, bounds, self._with_context(sizes, core), core)
            for core in self._cores(sizes, break_ranks(text, units))
        ]
        return WindowedText(text, units, windows)

    def _cores(self, sizes: list[int], ranks: list[int]) -> list[range]:
        cores: list[range] = []
        total = np.concatenate(([0], np.cumsum(sizes)))
        start = 0
        while start < len(sizes):
            before = self._overlap if start else 0
            if total[-1] - total[start] <= self._room - before:
                end = len(sizes)
            else:
                room = self._room - before - self._overlap
                furthest = int(np.searchsorted(total, total[start] + room, side="right")) - 1
                end = best_cut(ranks, start, max(furthest, start + 1))
            cores.append(range(start, end))
            start = end
        return cores

    def _with_context(self, sizes: list[int], core: range) -> range:
        """The core and what fits around it, half of the room on each side or all of it at an end of the text."""
        room = self._room - sum(sizes[core.start : core.stop])
        start, half = core.start, room // 2
        while start > 0 and sizes[start - 1] <= half:
            start -= 1
            half -= sizes[start]
            room -= sizes[start]
        stop = core.stop
        while stop < len(sizes) and sizes[stop] <= room:
            room -= sizes[stop]
            stop += 1
        while start > 0 and sizes[start - 1] <= room:
            start -= 1
            room -= sizes[start]
        return range(start, stop)

    def _window(self, encoding: Encoding, bounds: list[int], units: range, core: range) -> Window:
        start, end = bounds[units.start], bounds[units.stop]
        cut = min(end, start + self._room)
        vocab = self.tokenizer.vocab
        features = InputFeatures(
            ids=[vocab.cls_id, *encoding.ids[start:cut], vocab.sep_id],
            segments=[0] * (cut - start + 2),
            special=(0, cut - start + 1),
            tokens=[CLS, *encoding.tokens[start:cut], SEP],
            offsets=[_NO_RANGE, *encoding.offsets[start:cut], _NO_RANGE],
            truncated=cut < end,
        )
        return Window(features, [bounds[unit] - start + 1 for unit in units], units, core)


def merge_spans(windowed: WindowedText, spans: Sequence[Sequence[UnitSpan]]) -> list[UnitSpan]:
    """Join what the windows of one text say.

    A span counts in the window whose core has its first unit. A span that a window's edge cut off is taken on
    by the next window's span of its type there; its score stays that of the part before the edge, for the next
    window did not see the beginning. Any other span that overlaps an earlier one is left out.

    Args:
        spans: for each window its spans in order, units counted from the window's first.

    Returns:
        spans in order, units counted from the text's first.
    """
    merged: list[UnitSpan] = []
    cut = False
    for window, found in zip(windowed.windows, spans, strict=True):
        offset = window.units.start
        for span in found:
            span = span._replace(first=span.first + offset, end=span.end + offset)
            if merged and span.first < merged[-1].end:
                last = merged[-1]
                if cut and span.type == last.type and span.end > last.end:
                    merged[-1] = last._replace(end=span.end)
                    cut = span.end == window.units.stop
            elif span.first in window.core:
                merged.append(span)
                cut = span.end == window.units.stop
    return merged


def _laid_end_to_end(
    tokens: Sequence[str], units: Sequence[tuple[int, int]], pieces: dict[str, Encoding]
) -> tuple[Encoding, list[int]]:
    joined = Encoding([], [], [])
    firsts = []
    for token, (base, _) in zip(tokens, units, strict=True):
        firsts.append(len(joined.ids))
        encoding = pieces[token]
        joined.ids.extend(encoding.ids)
        joined.tokens.extend(encoding.tokens)
        joined.offsets.extend((base + start, base + end) for start, end in encoding.offsets)
    return joined, firsts
