"""Running a packed batch in parts of similar length, so that attention pads little and parts can run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from bert_ft.text.packing import PackedBatch

Results = dict[str, np.ndarray]


def run_in_parts(
    batch: PackedBatch,
    max_places: int,
    by_token: frozenset[str],
    run: Callable[[list[PackedBatch]], Iterable[Results]],
) -> Results:
    """The whole batch's results from those of its parts.

    Args:
        most_places: see :func:`cut_by_length`.
        by_token: outputs with a row a token.
        run: gives the results of the parts, in their order; each is read before the next is asked for.

    Returns:
        float32 [T, width] for outputs by token, [B, width] for the others.
    """
    parts = list(cut_by_length(batch, max_places))
    results: Results = {}
    for (sequences, tokens, _), found in zip(parts, run([part for *_, part in parts]), strict=True):
        for name, values in found.items():
            if name not in results:
                rows = len(batch.ids) if name in by_token else len(batch.lengths)
                results[name] = np.empty((rows, values.shape[1]), np.float32)
            results[name][tokens if name in by_token else sequences] = values
    return results


def cut_by_length(batch: PackedBatch, max_places: int) -> Iterator[tuple[np.ndarray, np.ndarray, PackedBatch]]:
    """Parts of a batch, the longest sequences first.

    Args:
        most_places: a part's sequences times its longest; a longer sequence is a part of its own.

    Yields:
        which sequences, int [b], which tokens, int [t], and the part itself.
    """
    starts = np.cumsum(batch.lengths) - batch.lengths
    order = np.argsort(-batch.lengths, kind="stable")
    first = 0
    while first < len(order):
        count = max(1, max_places // int(batch.lengths[order[first]]))
        sequences = order[first : first + count]
        lengths = batch.lengths[sequences]
        ends = np.cumsum(lengths)
        tokens = np.arange(ends[-1]) + np.repeat(starts[sequences] - (ends - lengths), lengths)
        part = PackedBatch(
            batch.ids[tokens], batch.segments[tokens], batch.positions[tokens], lengths, batch.mask[tokens]
        )
        yield sequences, tokens, part
        first += count
