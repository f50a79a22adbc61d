"""Words of raw texts, and the spans over them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from bert_ft.text.spans import Span, covered_units, unit_fault, word_ranges
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from bert_ft.text.windows import WindowBuilder
from tests.tasks.tagging.support import spans_over
from tests.text.strategies import unicode_texts


@given(text=unicode_texts, do_lower_case=st.booleans())
@example(text="cafe\u0301 \u2260", do_lower_case=True)
@example(text="0\n\u0e31", do_lower_case=True)
def test_words_are_the_units_that_the_model_labels(tmp_path_factory, text: str, do_lower_case: bool) -> None:
    vocab = tmp_path_factory.getbasetemp() / "vocab.txt"
    if not vocab.exists():
        vocab.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n", encoding="utf-8")
    builder = WindowBuilder(FullTokenizer(Vocab.load(Path(vocab)), do_lower_case), 512)
    assert word_ranges(text, do_lower_case) == builder.texts([text])[0].units


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=6), st.data())
def test_covered_units_are_those_that_share_a_character(gaps: list[tuple[int, int]], data: st.DataObject) -> None:
    units = []
    at = 0
    for gap, length in gaps:
        units.append((at + gap, at + gap + length))
        at += gap + length
    text = "x" * (at + 2)
    for span in data.draw(spans_over(len(text))):
        inside = set(range(span.start, span.end))
        shared = [i for i, unit in enumerate(units) if inside & set(range(*unit))]
        assert list(covered_units(units, span)) == shared
        whole = bool(shared) and all(set(range(*units[i])) <= inside for i in shared)
        assert (unit_fault(text, units, span) is None) == whole


def test_the_word_that_is_cut_is_shown() -> None:
    assert unit_fault("about 2.2kg", word_ranges("about 2.2kg"), Span("n", 0, 9)) == (
        "span 0-9 (n 'about 2.2') cuts the word '2kg'"
    )
