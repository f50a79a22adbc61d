from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from bert_ft.data.rows import BadRows
from bert_ft.tasks.tagging.examples import TaggedTexts, read_examples
from bert_ft.text.spans import Span

# A busy machine is no failure.
settings.register_profile("bert_ft", deadline=None)
settings.load_profile("bert_ft")


def read(
    path: Path, content: str | bytes, *, format: str | None = None, skip: bool = False, training: bool = False
) -> TaggedTexts:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_examples(path, format, BadRows(skip), training)


def surfaces(texts: TaggedTexts) -> list[list[tuple[str, str]]]:
    """(type, characters) of every entity, text by text."""
    return [[(s.type, e.text[s.start : s.end]) for s in e.spans] for e in texts.examples]


@st.composite
def spans_over(draw: st.DrawFn, count: int, types: str = "xyz") -> list[Span]:
    """Spans over ``count`` places that do not overlap."""
    edges = sorted(draw(st.sets(st.integers(0, count), max_size=8)))
    return [Span(draw(st.sampled_from(types)), a, b) for a, b in pairwise(edges) if draw(st.booleans())]
