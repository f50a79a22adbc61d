"""Task heads. A head names its variables as Google's scripts do, makes logits, and has a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.head import CLASSIFICATION, CRF_TRANSITIONS, TAGGING, HeadKind, head_kind, head_shapes
from bert_ft.checkpoint.variables import Shapes
from bert_ft.model.backend import tf
from bert_ft.model.crf import log_likelihood
from bert_ft.model.dropout import Dropout
from bert_ft.model.pooling import pooled_output
from bert_ft.model.tensors import PackedTensors

HEAD_DROPOUT = 0.1  # Google's run_classifier keeps 0.9, whatever the configuration says
NO_LABEL = -1


class Head(Protocol):
    """What training, evaluation and serving ask of a head."""

    name: ClassVar[str]

    def shapes(self, config: BertConfig) -> Shapes:
        """Names and shapes of the head's own variables."""

    def logits(self, weights: Mapping[str, Any], last_layer: Any, batch: PackedTensors, dropout: Dropout | None) -> Any:
        """Scores before any normalisation, from the last encoder layer's [T, hidden]."""

    def loss(self, weights: Mapping[str, Any], logits: Any, labels: Any, batch: PackedTensors) -> Any:
        """Mean loss of a batch, float32 scalar."""


@dataclass(frozen=True)
class ClassificationHead:
    """run_classifier.py's head: dropout, then a dense layer on the pooled first token.

    Args:
        num_labels: number of classes.
        dropout: probability with which a value of the pooled vector is dropped in training.
    """

    num_labels: int
    dropout: float = HEAD_DROPOUT
    name: ClassVar[str] = CLASSIFICATION

    def shapes(self, config: BertConfig) -> Shapes:
        return head_shapes(self.num_labels, config)

    def logits(self, weights: Mapping[str, Any], last_layer: Any, batch: PackedTensors, dropout: Dropout | None) -> Any:
        """float32 [B, num_labels]"""
        pooled = pooled_output(last_layer, batch, weights)
        return _output(weights, pooled if dropout is None else dropout(pooled, self.dropout))

    def loss(self, weights: Mapping[str, Any], logits: Any, labels: Any, batch: PackedTensors) -> Any:
        """Cross-entropy with class ids int32 [B], the mean over the texts."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


@dataclass(frozen=True)
class TaggingHead:
    """A dense layer on every token, then softmax or a linear-chain CRF over the tags.

    Args:
        num_labels: number of BIO tags.
        crf: score whole tag sequences instead of each tag alone.
        dropout: probability with which a value of a token's vector is dropped in training.
    """

    num_labels: int
    crf: bool = False
    dropout: float = HEAD_DROPOUT
    name: ClassVar[str] = TAGGING

    def shapes(self, config: BertConfig) -> Shapes:
        return head_shapes(self.num_labels, config, self.crf)

    def logits(self, weights: Mapping[str, Any], last_layer: Any, batch: PackedTensors, dropout: Dropout | None) -> Any:
        """float32 [T, num_labels]"""
        hidden = tf.cast(last_layer, tf.float32)
        return _output(weights, hidden if dropout is None else dropout(hidden, self.dropout))

    def loss(self, weights: Mapping[str, Any], logits: Any, labels: Any, batch: PackedTensors) -> Any:
        """Negative log-likelihood of the tags, divided by the number of tags.

        Args:
            labels: tag ids int32 [T]; ``NO_LABEL`` for pieces that carry no tag.
        """
        labelled = tf.where(labels != NO_LABEL)[:, 0]
        tags, emissions = tf.gather(labels, labelled), tf.gather(logits, labelled)
        count = tf.maximum(tf.cast(tf.shape(tags)[0], tf.float32), 1.0)
        if not self.crf:
            return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(tags, emissions)) / count
        owners = tf.gather(batch.owners, labelled)
        rows, owners = tf.unique(owners)  # texts without tags have no part in the loss
        lengths = tf.math.segment_sum(tf.ones_like(owners), owners)
        starts = tf.cumsum(lengths, exclusive=True)
        places = tf.stack([owners, tf.range(tf.size(owners)) - tf.gather(starts, owners)], axis=1)
        shape = tf.stack([tf.size(rows), tf.reduce_max(lengths)])
        padded_emissions = tf.scatter_nd(places, emissions, tf.concat([shape, [self.num_labels]], axis=0))
        padded_emissions.set_shape([None, None, self.num_labels])
        padded_tags = tf.scatter_nd(places, tags, shape)
        transitions = tf.convert_to_tensor(weights[CRF_TRANSITIONS])
        return -tf.reduce_sum(log_likelihood(padded_emissions, padded_tags, lengths, transitions)) / count


def stored_head(metadata: ModelMetadata | None, stored: Shapes) -> tuple[Head | None, list[str]]:
    """The head that a model directory holds and its labels in id order; see :func:`head_kind`."""
    kind = head_kind(metadata, stored)
    return (None, []) if kind is None else (head_of(kind), kind.labels)


def head_of(kind: HeadKind) -> Head:
    """With the formulas of its logits and its loss."""
    count = len(kind.labels)
    return TaggingHead(count, crf=kind.crf) if kind.by_token else ClassificationHead(count)


def _output(weights: Mapping[str, Any], x: Any) -> Any:
    return tf.nn.bias_add(tf.matmul(x, weights["output_weights"], transpose_b=True), weights["output_bias"])
