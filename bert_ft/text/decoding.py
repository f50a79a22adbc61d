"""From tag scores to entity spans: Viterbi under BIO rules, and how probable a span is. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bert_ft.text.spans import UnitSpan

FORBIDDEN = -1e4
"""Added to the score of a step that BIO rules do not allow."""


class BioDecoder:
    """Finds the best legal tag sequence of each text.

    A tag ``I-x`` may only follow ``B-x`` or ``I-x``; everything else may follow anything. A softmax head is a chain
    without transition scores, so one decoder serves both heads.

    Args:
        labels: BIO tags in id order.
        transitions: a CRF's float [L, L] scores, or None.
    """

    def __init__(self, labels: Sequence[str], transitions: np.ndarray | None = None) -> None:
        self.labels = list(labels)
        size = len(self.labels)
        self._transitions = np.zeros((size, size)) if transitions is None else np.asarray(transitions, np.float64)
        self._allowed = self._transitions + _forbidden_steps(self.labels)
        self._first = np.array([FORBIDDEN if label.startswith("I-") else 0.0 for label in self.labels])

    def decode(self, logits: np.ndarray, counts: Sequence[int] | np.ndarray) -> list[list[UnitSpan]]:
        """Spans of each text.

        A span's score is the model's probability that its units have just these tags, whatever the tags around them:
        exact, by the forward and backward recursions (for a softmax head the product of the tags' probabilities).

        Args:
            logits: float [K, L], the units of all texts end to end.
            counts: units of each text, [B]; they sum to K.
        """
        tags = self.tags(logits, counts)
        emissions, lengths = _padded(logits, counts)
        if emissions.size == 0:
            return [[] for _ in lengths]
        forward, backward = self._forward_backward(emissions, lengths)
        partition = _log_sum_exp(forward[:, 0] + backward[:, 0], axis=-1)
        result = []
        for row, row_tags in enumerate(tags):
            spans = [
                UnitSpan(kind, first, end, self._probability(
                    emissions[row], forward[row], backward[row], partition[row], row_tags, first, end
                ))
                for kind, first, end in self._runs(row_tags)
            ]  # fmt: skip
            result.append(spans)
        return result

    def tags(self, logits: np.ndarray, counts: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The best legal tag ids of each text, int [count]."""
        emissions, lengths = _padded(logits, counts)
        batch, longest, size = emissions.shape
        if longest == 0:
            return [np.zeros(0, np.int64) for _ in lengths]
        best = emissions[:, 0] + self._first
        pointers = np.zeros((longest, batch, size), np.int64)
        stay = np.arange(size)
        for position in range(1, longest):
            scores = best[:, :, None] + self._allowed
            source = scores.argmax(axis=1)
            inside = (position < lengths)[:, None]
            pointers[position] = np.where(inside, source, stay)
            best = np.where(
                inside, np.take_along_axis(scores, source[:, None], axis=1)[:, 0] + emissions[:, position], best
            )
        path = np.zeros((longest, batch), np.int64)
        path[-1] = best.argmax(axis=1)
        rows = np.arange(batch)
        for position in range(longest - 1, 0, -1):
            path[position - 1] = pointers[position, rows, path[position]]
        return [path[:length, row] for row, length in enumerate(lengths)]

    def _runs(self, tags: np.ndarray) -> Iterable[tuple[str, int, int]]:
        """Type, first unit and end of each entity of a legal tag sequence."""
        names = [self.labels[tag] for tag in tags]
        for first, name in enumerate(names):
            if name.startswith("B-"):
                end = first + 1
                while end < len(names) and names[end] == f"I-{name[2:]}":
                    end += 1
                yield name[2:], first, end

    def _probability(
        self,
        emissions: np.ndarray,
        forward: np.ndarray,
        backward: np.ndarray,
        partition: float,
        tags: np.ndarray,
        first: int,
        end: int,
    ) -> float:
        inner = sum(
            self._transitions[tags[place - 1], tags[place]] + emissions[place, tags[place]]
            for place in range(first + 1, end)
        )
        log_probability = forward[first, tags[first]] + inner + backward[end - 1, tags[end - 1]] - partition
        return float(np.exp(min(log_probability, 0.0)))

    def _forward_backward(self, emissions: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-scores [B, S, L] of all ways to a tag (its emission included) and of all ways on from it."""
        longest = emissions.shape[1]
        forward = emissions.copy()
        backward = np.zeros_like(emissions)
        for place in range(1, longest):
            forward[:, place] += _log_sum_exp(forward[:, place - 1, :, None] + self._transitions, axis=1)
        for place in range(longest - 2, -1, -1):
            onward = _log_sum_exp(self._transitions + (emissions + backward)[:, None, place + 1], axis=2)
            backward[:, place] = np.where((place + 1 < lengths)[:, None], onward, 0.0)
        return forward, backward


def _forbidden_steps(labels: Sequence[str]) -> np.ndarray:
    steps = np.zeros((len(labels), len(labels)))
    for column, label in enumerate(labels):
        if label.startswith("I-"):
            legal = {f"B-{label[2:]}", label}
            steps[[row for row, before in enumerate(labels) if before not in legal], column] = FORBIDDEN
    return steps


def _padded(logits: np.ndarray, counts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.asarray(counts, np.int64)
    longest = int(lengths.max(initial=0))
    padded = np.zeros((len(lengths), longest, logits.shape[-1]))
    inside = np.arange(longest) < lengths[:, None]
    padded[inside] = logits
    return padded, lengths


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    highest = values.max(axis=axis, keepdims=True)
    return np.log(np.exp(values - highest).sum(axis=axis)) + np.squeeze(highest, axis=axis)
