"""Scores of predicted entities."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bert_ft.text.spans import Span


@dataclass
class _Counts:
    right: int = 0
    predicted: int = 0
    gold: int = 0

    def add(self, gold: set[Hashable], predicted: set[Hashable]) -> None:
        self.right += len(gold & predicted)
        self.predicted += len(predicted)
        self.gold += len(gold)

    def scores(self) -> dict[str, float]:
        precision = self.right / self.predicted if self.predicted else 0.0
        recall = self.right / self.gold if self.gold else 0.0
        f1 = 2 * self.right / (self.predicted + self.gold) if self.predicted + self.gold else 0.0
        return {"precision": precision, "recall": recall, "f1": f1}


def span_metrics(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """Precision, recall and F1 of entities; one is right when type, start and end are. All JSON values.

    Equal to seqeval's in strict mode with IOB2.

    Args:
        gold, predicted: the spans of each text, in the same order of texts.

    Returns:
        micro_precision, micro_recall, micro_f1 (over all entities), macro_precision, macro_recall, macro_f1 (plain
        means over the types that are in gold or predicted), support (entities in gold) and per_type (precision,
        recall, f1, support by name). What would divide by zero is 0.
    """
    types = sorted({span.type for spans in (*gold, *predicted) for span in spans})
    counts = {kind: _Counts() for kind in types}
    total = _Counts()
    for expected, found in zip(gold, predicted, strict=True):
        total.add(set(expected), set(found))
        for kind in {span.type for span in (*expected, *found)}:
            counts[kind].add({s for s in expected if s.type == kind}, {s for s in found if s.type == kind})
    per_type = {kind: counts[kind].scores() for kind in types}
    result: dict[str, Any] = {f"micro_{name}": score for name, score in total.scores().items()}
    for name in ("precision", "recall", "f1"):
        result[f"macro_{name}"] = fmean(scores[name] for scores in per_type.values()) if types else 0.0
    result["support"] = total.gold
    result["per_type"] = {kind: {**per_type[kind], "support": counts[kind].gold} for kind in types}
    return result


def token_accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Share of units whose tag is right; 0 when there are none.

    Args:
        gold, predicted: the tags of each text, one a unit.
    """
    pairs = [pair for row in zip(gold, predicted, strict=True) for pair in zip(*row, strict=True)]
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else 0.0


def cluener_score(
    texts: Sequence[str], gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]
) -> dict[str, Any]:
    """F1 as CLUENER2020 scores it: surfaces, not places.

    In every text the set of surfaces of a type is compared, so one found at the wrong place is right and one found
    twice counts once.

    Returns:
        cluener_f1, the plain mean over the types, and per_type, the F1 of each.
    """
    counts: dict[str, _Counts] = {}
    for text, expected, found in zip(texts, gold, predicted, strict=True):
        for kind in {span.type for span in (*expected, *found)}:
            sides: list[set[Hashable]] = [
                {text[span.start : span.end] for span in side if span.type == kind} for side in (expected, found)
            ]
            counts.setdefault(kind, _Counts()).add(*sides)
    per_type = {kind: counts[kind].scores()["f1"] for kind in sorted(counts)}
    return {"cluener_f1": fmean(per_type.values()) if per_type else 0.0, "per_type": per_type}
