from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bert_ft.data.rows import BadRows
from bert_ft.tasks.tagging.examples import read_examples
from bert_ft.tasks.tagging.predictions import Prediction, write_conll, write_json_lines
from bert_ft.text.spans import Span, word_ranges
from tests.tasks.tagging.support import spans_over
from tests.text.strategies import unicode_texts

TEXT = "叶老桂 in 400g"
UNITS = [(0, 1), (1, 2), (2, 3), (4, 6), (7, 11)]
GOLD = [Span("name", 0, 3), Span("number", 7, 10)]
FOUND = [Span("name", 1, 3)]


def test_columns_of_a_text_with_and_without_gold(tmp_path: Path) -> None:
    write_conll(tmp_path / "a", [Prediction(TEXT, UNITS, GOLD, FOUND, [0.5]), Prediction("a", [(0, 1)], None, [], [])])
    assert (tmp_path / "a").read_bytes().decode() == (
        "叶\tB-name\tO\n老\tI-name\tB-name\n桂\tI-name\tI-name\nin\tO\tO\n400g\tB-number\tO\n\na\tO\n\n"
    )


def test_json_lines_have_offsets_and_scores(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a", [Prediction(TEXT, UNITS, None, FOUND, [0.5])])
    assert (tmp_path / "a").read_bytes().decode() == (
        '{"text": "叶老桂 in 400g", "entities": '
        '[{"type": "name", "text": "老桂", "start": 1, "end": 3, "score": 0.5}]}\n'
    )


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a", [Prediction("a\ud83d b", [(0, 1), (3, 4)], None, [Span("x", 0, 2)], [1])])
    assert json.loads((tmp_path / "a").read_text(encoding="utf-8"))["entities"][0]["text"] == "a\ud83d"


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    text = draw(unicode_texts.filter(lambda text: word_ranges(text)))
    units = word_ranges(text)
    gold, found = (
        [Span(kind, units[a][0], units[b - 1][1]) for kind, a, b in draw(spans_over(len(units)))] for _ in range(2)
    )
    return Prediction(text, units, gold, found, [0.25] * len(found))


@given(st.lists(predictions(), min_size=1, max_size=4))
def test_the_readers_take_back_what_was_written(tmp_path_factory, items: list[Prediction]) -> None:
    path = tmp_path_factory.getbasetemp() / "written"
    write_json_lines(path, items)
    texts = read_examples(path, None, BadRows(), training=True)
    assert [(e.text, e.spans) for e in texts.examples] == [(p.text, p.predicted) for p in items]

    write_conll(path, [item._replace(predicted=item.gold or [], scores=[]) for item in items])
    texts = read_examples(path, "conll", BadRows(), training=True)
    for example, item in zip(texts.examples, items, strict=True):
        units = dict(zip(example.units or [], item.units, strict=True))
        starts, ends = ({unit[side]: units[unit][side] for unit in units} for side in (0, 1))
        assert [Span(k, starts[a], ends[b]) for k, a, b in example.spans] == item.gold
