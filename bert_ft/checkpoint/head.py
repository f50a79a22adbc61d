"""The head of a model directory, as far as it can be known without TensorFlow: all but its formula of the loss."""

from __future__ import annotations

from typing import Any, NamedTuple

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.variables import Shapes, pooler_shapes

CLASSIFICATION = "classification"
TAGGING = "tagging"
CRF_TRANSITIONS = "crf/transitions"
_BY_TOKEN = {CLASSIFICATION: False, TAGGING: True}
"""Every kind of head, and whether it looks at each token, or at the pooled first one."""


class HeadKind(NamedTuple):
    """
    Attributes:
        name: "classification" or "tagging".
        labels: label names in id order.
        crf: whether a tagging head scores whole tag sequences.

    Example:
        >>> HeadKind("classification", ["bad", "good"]).label_maps["id2label"]
        {'0': 'bad', '1': 'good'}
    """

    name: str
    labels: list[str]
    crf: bool = False

    @property
    def by_token(self) -> bool:
        """Whether its logits are float32 [T, num_labels], a row a token, and not [B, num_labels], a row a text."""
        return _BY_TOKEN[self.name]

    @property
    def label_maps(self) -> dict[str, Any]:
        """``id2label`` and ``label2id`` as Hugging Face's JSON has them."""
        return {
            "id2label": {str(index): label for index, label in enumerate(self.labels)},
            "label2id": {label: index for index, label in enumerate(self.labels)},
        }

    @property
    def options(self) -> dict[str, Any]:
        """``head_options`` of bert_ft.json."""
        return {"crf": self.crf, **self.label_maps} if self.name == TAGGING else {}

    def shapes(self, config: BertConfig) -> Shapes:
        """Names and shapes of the variables above the encoder that it needs, the pooler's included."""
        return ({} if self.by_token else pooler_shapes(config)) | head_shapes(len(self.labels), config, self.crf)


def head_shapes(num_labels: int, config: BertConfig, crf: bool = False) -> Shapes:
    """Names and shapes of a head's own variables, the names being those of Google's scripts."""
    shapes: Shapes = {"output_weights": (num_labels, config.hidden_size), "output_bias": (num_labels,)}
    return shapes | ({CRF_TRANSITIONS: (num_labels, num_labels)} if crf else {})


def head_kind(metadata: ModelMetadata | None, stored: Shapes) -> HeadKind | None:
    """The head of a model directory, or None.

    A checkpoint of Google's own scripts says by its variable output_weights that it classifies; its labels have no
    names, so they are numbered.

    Args:
        metadata: bert_ft.json, or None.
        stored: shapes of the checkpoint's variables by name.
    """
    if metadata is not None:
        if metadata.head not in _BY_TOKEN:
            return None
        crf = metadata.head == TAGGING and bool(metadata.head_options.get("crf"))
        return HeadKind(metadata.head, metadata.labels, crf)
    if "output_weights" in stored:
        return HeadKind(CLASSIFICATION, [str(index) for index in range(stored["output_weights"][0])])
    return None
