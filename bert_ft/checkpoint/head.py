"""Which head a model directory holds; needs no TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.variables import Shapes

CLASSIFICATION = "classification"
TAGGING = "tagging"
CRF_TRANSITIONS = "crf/transitions"


class HeadKind(NamedTuple):
    """
    Attributes:
        name: "classification" or "tagging".
        labels: label names in id order.
        crf: whether a tagging head scores whole tag sequences.
    """

    name: str
    labels: list[str]
    crf: bool = False


def head_kind(metadata: ModelMetadata | None, stored: Shapes) -> HeadKind | None:
    """The head of a model directory, or None.

    A checkpoint of Google's own scripts says by its variable output_weights that it classifies; its labels have no
    names, so they are numbered.

    Args:
        metadata: bert_ft.json, or None.
        stored: shapes of the checkpoint's variables by name.
    """
    if metadata is not None:
        if metadata.head not in (CLASSIFICATION, TAGGING):
            return None
        crf = metadata.head == TAGGING and bool(metadata.head_options.get("crf"))
        return HeadKind(metadata.head, metadata.labels, crf)
    if "output_weights" in stored:
        return HeadKind(CLASSIFICATION, [str(index) for index in range(stored["output_weights"][0])])
    return None
