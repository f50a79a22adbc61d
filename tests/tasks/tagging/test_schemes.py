from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_ft.tasks.tagging.schemes import IllegalTagError, Scheme, detect_scheme, labels_of, tags_of
from bert_ft.text.spans import Span
from tests.tasks.tagging.support import spans_over

BIOES = Scheme("BIOES", ends=True, singles=True)
LETTERS = {"BIOES": [*"BIES"], "BMES": [*"BMES"], "BMEWO": [*"BMEW"], "BILOU": [*"BILU"]}
EXPECTED = [Span("a", 0, 3), Span("b", 3, 4), Span("a", 5, 7)]


def spans_of(tags: Sequence[str], units: Sequence[tuple[int, int]] | None = None) -> list[Span]:
    """Entities of a legal BIO sequence: in characters where their units are given, else in units."""
    spans = Scheme("BIO").spans(tags)
    if units is None:
        return spans
    return [Span(span.type, units[span.start][0], units[span.end - 1][1]) for span in spans]


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ("B-a I-a I-a B-b O B-a I-a", "BIO"),
        ("B_a I_a I_a B_b O B_a I_a", "BIO"),
        ("I-a I-a I-a I-b O I-a I-a", "IO"),
        ("a a a b O a a", "IO"),
        ("B-a I-a E-a S-b O B-a E-a", "BIOES"),
        ("B-a M-a E-a S-b O B-a E-a", "BIOES"),
        ("B-a I-a L-a U-b O B-a L-a", "BIOES"),
        ("B-a M-a E-a W-b O B-a E-a", "BIOES"),
        ("B-a I-a E-a B-b O B-a E-a", "BIOES"),
        ("B-a I-a I-a S-b O B-a I-a", "BIOES"),
    ],
)
def test_each_scheme_is_told_and_read(tags: str, name: str) -> None:
    scheme = detect_scheme([tags.split()])
    assert scheme.name == name
    assert scheme.spans(tags.split()) == EXPECTED


def test_iob1_parts_neighbours_by_b() -> None:
    tags = ["I-a", "I-a", "B-a", "I-b", "O", "I-a"]
    scheme = detect_scheme([tags, ["I-b", "O"]])
    assert scheme.name == "IOB1"
    assert scheme.spans(tags) == [Span("a", 0, 2), Span("a", 2, 3), Span("b", 3, 4), Span("a", 5, 6)]
    with pytest.raises(IllegalTagError, match="B-a after O parts no two entities"):
        scheme.spans(["O", "B-a"])


def test_a_slip_in_a_bio_file_does_not_make_it_iob1() -> None:
    assert detect_scheme([["B-a", "I-a"], ["B-b", "O"], ["O", "I-a"]]).name == "BIO"


def test_types_keep_their_hyphens_and_dots() -> None:
    assert spans_of(["B-PER.NAM", "I-PER.NAM", "B-x-y_z"]) == [Span("PER.NAM", 0, 2), Span("x-y_z", 2, 3)]
    assert detect_scheme([["person-actor", "O"]]).spans(["person-actor", "O"]) == [Span("person-actor", 0, 1)]


@pytest.mark.parametrize(
    ("scheme", "tags", "index", "fault"),
    [
        (Scheme("BIO"), "I-a O", 0, "I-a at the beginning of a sentence begins no entity"),
        (Scheme("BIO"), "B-a I-b", 1, "I-b after B-a begins no entity"),
        (BIOES, "O B-a I-a O", 2, "I-a is the last of its entity, which no E- or L- closes"),
        (BIOES, "B-a", 0, "B-a is the last"),
        (BIOES, "B-a S-a", 0, "B-a is the last"),
        (BIOES, "B-a I-a B-b E-b", 1, "I-a is the last"),
        (BIOES, "S-a E-a", 1, "E-a after S-a begins no entity"),
        (BIOES, "B-a E-b", 1, "E-b after B-a begins no entity"),
        (BIOES, "B-a E-a I-a", 2, "I-a after E-a begins no entity"),
        (BIOES, "O PER", 1, "unknown tag form 'PER'"),
    ],
)
def test_illegal_tags_are_named(scheme: Scheme, tags: str, index: int, fault: str) -> None:
    with pytest.raises(IllegalTagError, match=fault) as caught:
        scheme.spans(tags.split())
    assert caught.value.index == index


# One character a tag, so that a regular expression is the grammar of a scheme.
_TAGS = {"b": "B-x", "i": "I-x", "e": "E-x", "s": "S-x", "p": "B-y", "q": "I-y", "r": "E-y", "t": "S-y", "O": "O"}
_GRAMMARS = {
    "BIO": (Scheme("BIO"), "bipqO", "O|bi*|pq*"),
    "IOB1": (Scheme("IOB1"), "bipqO", "O|i+(?:bi*)*|q+(?:pq*)*"),
    "BIOES": (BIOES, "biespqrtO", "O|bi*e|s|pq*r|t"),
    "BIOE": (Scheme("BIOES", ends=True), "biepqrO", "O|bi*e|b|pq*r|p"),
}


@pytest.mark.parametrize("name", list(_GRAMMARS))
@given(data=st.data())
def test_what_is_legal_is_what_the_grammar_says(name: str, data: st.DataObject) -> None:
    scheme, letters, grammar = _GRAMMARS[name]
    written = data.draw(st.text(letters, max_size=8))
    tags = [_TAGS[letter] for letter in written]
    if not re.fullmatch(f"(?:{grammar})*", written):
        with pytest.raises(IllegalTagError):
            scheme.spans(tags)
        return
    found = scheme.spans(tags)
    covered = sorted(i for span in found for i in range(span.start, span.end))
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]
    if name != "IOB1":
        expected = [match.span() for match in re.finditer(grammar, written) if match[0] != "O"]
        assert [(span.start, span.end) for span in found] == expected


@given(st.integers(0, 12).flatmap(lambda n: st.tuples(st.just(n), spans_over(n))))
def test_spans_and_tags_are_the_reverse_of_each_other(drawn: tuple[int, list[Span]]) -> None:
    count, spans = drawn
    single = [(i, i + 1) for i in range(count)]
    assert spans_of(tags_of(spans, single)) == spans
    words = [(i * 5 + 2, i * 5 + 5) for i in range(count)]
    characters = [Span(kind, words[a][0], words[b - 1][1]) for kind, a, b in spans]
    assert tags_of(characters, words) == tags_of(spans, single)
    assert spans_of(tags_of(characters, words), words) == characters


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), spans_over(n))), st.sampled_from(list(LETTERS)))
def test_schemes_with_ends_give_back_the_spans(drawn: tuple[int, list[Span]], name: str) -> None:
    count, spans = drawn
    begin, inside, end, single = LETTERS[name]
    tags = ["O"] * count
    for kind, a, b in spans:
        parts = [single] if b - a == 1 else [begin, *[inside] * (b - a - 2), end]
        tags[a:b] = [f"{part}-{kind}" for part in parts]
    whole = [f"{single}-x", f"{begin}-x", f"{inside}-x", f"{end}-x"]
    assert detect_scheme([tags, whole]).spans(tags) == spans


def test_a_cut_unit_goes_to_the_first_span() -> None:
    assert tags_of([Span("n", 0, 3), Span("u", 3, 4), Span("f", 5, 8)], [(0, 4), (5, 8)]) == ["B-n", "B-f"]
    assert tags_of([Span("n", 2, 9)], [(0, 4), (5, 8), (9, 10)]) == ["B-n", "I-n", "O"]


def test_labels_do_not_depend_on_the_order_of_types() -> None:
    assert labels_of(["name", "book", "name"]) == ["O", "B-book", "I-book", "B-name", "I-name"]
    assert labels_of([]) == ["O"]
