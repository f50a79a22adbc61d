"""Our engine in a process of its own; a size is the most tokens of a packed batch, "all" a single batch."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from loop import Batch, inputs, serve, specification

from bert_ft.engines import engine_class
from bert_ft.engines.base import EngineOptions
from bert_ft.text.packing import InputFeatures, pack


def packed_batches(texts: list[np.ndarray], maximum: float) -> list[Batch]:
    """Inputs sorted by length, cut where a batch would have more than ``maximum`` tokens."""
    groups: list[list[int]] = [[]]
    for index in np.argsort([len(text) for text in texts], kind="stable")[::-1]:
        if groups[-1] and sum(len(texts[one]) for one in groups[-1]) + len(texts[index]) > maximum:
            groups.append([])
        groups[-1].append(int(index))
    return [(np.array(group), pack([_features(texts[index]) for index in group])) for group in groups]


def _features(ids: np.ndarray) -> InputFeatures:
    return InputFeatures(ids.tolist(), [0] * len(ids), (0, len(ids) - 1), [], [], False)


def main() -> None:
    spec = specification()
    options = EngineOptions(
        spec["model_dir"], pooling_strategy="REDUCE_MEAN", pooling_layer=[-1], precision=spec["precision"],
        threads=spec["threads"],
    )  # fmt: skip
    engine = engine_class(spec["engine"]).load(options)
    texts = inputs(spec)
    batches = {size: packed_batches(texts, np.inf if size == "all" else int(size)) for size in spec["sizes"]}

    def run(size: str, prepared: list) -> list[np.ndarray]:
        return [engine.run(batch)["encode"] for batch in prepared]

    serve(f"{spec['engine']} {version(spec['engine'])}", batches, run)


main()
