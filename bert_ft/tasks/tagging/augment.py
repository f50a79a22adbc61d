"""More training texts from few: entities exchanged for others of their type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bert_ft.tasks.tagging.examples import TaggingExample
from bert_ft.text.boundaries import join_tokens
from bert_ft.text.spans import Span, covered_units, unit_fault, word_ranges

_DRAWS = 3
_Tokens = tuple[str, ...]
_Draw = Callable[[str, _Tokens], _Tokens]


def replace_entities(
    examples: Sequence[TaggingExample], generator: np.random.Generator, probability: float
) -> list[TaggingExample]:
    """Swap each entity, with the given probability, for another of its type that these examples hold.

    The substitute is drawn evenly from the distinct other entities of the type; an entity that is the only one of its
    type stays. Text, units and the places of all spans are computed anew; types and their order stay. A raw text whose
    new entities would run into the words beside them is drawn again a few times, and then stays as it was.

    Args:
        probability: of each entity, from 0 to 1.
    """
    pools: dict[tuple[bool, str], dict[_Tokens, int]] = {}
    for example in examples:
        for span in example.spans:
            pool = pools.setdefault((example.units is None, span.type), {})
            pool.setdefault(_entity(example, span), len(pool))
    listed = {key: list(pool) for key, pool in pools.items()}

    def draw(raw: bool, kind: str, entity: _Tokens) -> _Tokens:
        choices = listed[raw, kind]
        if len(choices) < 2 or generator.random() >= probability:
            return entity
        index = int(generator.integers(len(choices) - 1))
        return choices[index + (index >= pools[raw, kind][entity])]

    return [
        _replace_raw(example, lambda kind, entity: draw(True, kind, entity))
        if example.units is None
        else _replace_tokens(example, example.units, lambda kind, entity: draw(False, kind, entity))
        for example in examples
    ]


def _entity(example: TaggingExample, span: Span) -> _Tokens:
    """Tokens of an entity; of a raw text its characters as one token."""
    if example.units is None:
        return (example.text[span.start : span.end],)
    covered = covered_units(example.units, span)
    return tuple(example.text[start:end] for start, end in example.units[covered.start : covered.stop])


def _replace_raw(example: TaggingExample, draw: _Draw) -> TaggingExample:
    for _ in range(_DRAWS):
        parts: list[str] = []
        spans: list[Span] = []
        copied = length = 0
        for span in example.spans:
            (surface,) = draw(span.type, _entity(example, span))
            parts += [example.text[copied : span.start], surface]
            start = length + span.start - copied
            length = start + len(surface)
            spans.append(Span(span.type, start, length))
            copied = span.end
        text = "".join(parts) + example.text[copied:]
        if text == example.text:
            return example
        words = word_ranges(text)
        if not any(unit_fault(text, words, span) for span in spans):
            return example._replace(text=text, spans=spans)
    return example


def _replace_tokens(example: TaggingExample, units: list[tuple[int, int]], draw: _Draw) -> TaggingExample:
    tokens: list[str] = []
    places: list[tuple[str, int, int]] = []
    copied = 0
    for span in example.spans:
        covered = covered_units(units, span)
        tokens += [example.text[start:end] for start, end in units[copied : covered.start]]
        substitute = draw(span.type, _entity(example, span))
        places.append((span.type, len(tokens), len(tokens) + len(substitute)))
        tokens += substitute
        copied = covered.stop
    tokens += [example.text[start:end] for start, end in units[copied:]]
    text, ranges = join_tokens(tokens)
    spans = [Span(kind, ranges[first][0], ranges[end - 1][1]) for kind, first, end in places]
    return example._replace(text=text, units=ranges, spans=spans)
