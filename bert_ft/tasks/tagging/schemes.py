"""Tagging schemes: from the tags of a file to spans, and from spans to BIO."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bert_ft.text.spans import Span, covered_units

_PREFIXED = re.compile(r"([BIMELSUW])[-_](.+)")
# BMESO, BILOU and BMEWO are BIOES in other letters.
_PARTS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_FORMS = "O, B-type, I-type, E-type, S-type and their BMES and BILU twins"


class IllegalTagError(ValueError):
    """Tags that the scheme of their file does not allow; ``index`` is the place of the first."""

    def __init__(self, index: int, fault: str) -> None:
        super().__init__(fault)
        self.index = index


@dataclass(frozen=True)
class Scheme:
    """How the tags of one file are to be read.

    Attributes:
        name: BIO (IOB2), IOB1, IO or BIOES, the last for all schemes that mark the end of an entity.
        bare: the tags are the types themselves, without B- or I-.
        ends, singles: entities of several units have a last tag, entities of one unit have a tag, of their own.
    """

    name: str
    bare: bool = False
    ends: bool = False
    singles: bool = False

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """Entities of one sentence, in units. Raises IllegalTagError."""
        found: list[Span] = []
        running: tuple[str, int] | None = None
        for i, tag in enumerate([*tags, "O"]):
            part, kind = self._split(i, tag)
            continues = running is not None and part != "O" and running[0] == kind
            begins = part in ("B", "S")
            if part == "I" and self.name in ("IO", "IOB1"):
                begins = not continues
            elif part in ("I", "E") and not continues:
                raise IllegalTagError(i, f"{tag} {_after(tags, i)} begins no entity in a file of {self.name} tags")
            elif part == "B" and self.name == "IOB1" and not continues:
                raise IllegalTagError(i, f"{tag} {_after(tags, i)} parts no two entities in a file of IOB1 tags")
            if running is not None and (begins or part == "O"):
                if self.ends and (self.singles or i - running[1] > 1):
                    raise IllegalTagError(i - 1, f"{tags[i - 1]} is the last of its entity, which no E- or L- closes")
                found.append(Span(*running, i))
                running = None
            if begins:
                running = (kind, i)
            if running is not None and part in ("E", "S"):
                found.append(Span(*running, i + 1))
                running = None
        return found

    def _split(self, i: int, tag: str) -> tuple[str, str]:
        if tag == "O":
            return "O", ""
        if self.bare:
            return "I", tag
        match = _PREFIXED.fullmatch(tag)
        if match is None:
            raise IllegalTagError(i, f"unknown tag form {tag!r} (known: {_FORMS})")
        return _PARTS[match[1]], match[2]


def detect_scheme(sentences: Collection[Sequence[str]]) -> Scheme:
    """The scheme that the tags of a whole file fit; with IOB1 and BIO the one that makes fewer of them illegal."""
    tags = {tag for sentence in sentences for tag in sentence}
    parts = {_PARTS[match[1]] for match in map(_PREFIXED.fullmatch, tags) if match}
    if not parts:
        # Without a single O the column is more likely words or parts of speech than entity types.
        return Scheme("IO", bare="O" in tags)
    if parts & {"E", "S"}:
        return Scheme("BIOES", ends="E" in parts, singles="S" in parts)
    if parts == {"I"}:
        return Scheme("IO")
    stray = {"B": 0, "I": 0}
    for sentence in sentences:
        for before, tag in pairwise(["O", *sentence]):
            match = _PREFIXED.fullmatch(tag)
            if match and before[1:] != tag[1:]:
                stray[_PARTS[match[1]]] += 1
    return Scheme("IOB1" if stray["B"] < stray["I"] else "BIO")


def tags_of(spans: Iterable[Span], units: Sequence[tuple[int, int]]) -> list[str]:
    """BIO tag of every unit.

    Args:
        spans: character spans that do not overlap. One that cuts a unit claims the whole unit, unless an earlier
            span has it.
        units: character ranges in order of the text.
    """
    tags = ["O"] * len(units)
    for span in sorted(spans, key=lambda span: span.start):
        prefix = "B-"
        for i in covered_units(units, span):
            if tags[i] == "O":
                tags[i] = prefix + span.type
                prefix = "I-"
    return tags


def labels_of(types: Iterable[str]) -> list[str]:
    """Labels of a tagging head in id order: O, then B and I of each type, types by code point."""
    return ["O", *(prefix + kind for kind in sorted(set(types)) for prefix in ("B-", "I-"))]


def _after(tags: Sequence[str], i: int) -> str:
    return f"after {tags[i - 1]}" if i else "at the beginning of a sentence"
