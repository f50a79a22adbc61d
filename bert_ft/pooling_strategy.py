"""The pooling strategies of bert-as-service by name and number, and their formulas, for every library of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Protocol

from bert_ft.errors import BertFtError
from bert_ft.numerics import MASKED_OUT, MEAN_EPSILON


class PoolingStrategy(IntEnum):
    """How token vectors become the answer; the numbers are the ones SHOW_CONFIG reports."""

    NONE = 0
    REDUCE_MAX = 1
    REDUCE_MEAN = 2
    REDUCE_MEAN_MAX = 3
    FIRST_TOKEN = 4
    CLS_TOKEN = 4
    LAST_TOKEN = 5
    SEP_TOKEN = 5
    CLS_POOLED = 6
    CLASSIFICATION = 7
    REGRESSION = 8

    @classmethod
    def parse(cls, name: str) -> PoolingStrategy:
        try:
            return cls[name]
        except KeyError:
            raise BertFtError(
                f"pooling strategy {name!r} is not known: choose one of {', '.join(cls.__members__)}"
            ) from None

    @property
    def needs_head(self) -> bool:
        return self in (PoolingStrategy.CLASSIFICATION, PoolingStrategy.REGRESSION)

    @property
    def needs_pooler(self) -> bool:
        return self.needs_head or self is PoolingStrategy.CLS_POOLED

    def layers(self, chosen: Sequence[int], depth: int) -> list[int]:
        """The encoder layers that are pooled, counted from 0 at the bottom; the top one for strategies of the pooler.

        Args:
            chosen: ``-pooling_layer``: negative ones count from the top.
            depth: layers of the model.

        Raises:
            BertFtError: the model has no such layer.
        """
        if self.needs_pooler:
            return [depth - 1]
        for layer in chosen:
            if not -depth <= layer < depth:
                raise BertFtError(
                    f"-pooling_layer {layer} is out of range: the model has {depth} layers, {-depth} to {depth - 1}"
                )
        return [layer % depth for layer in chosen]

    def width(self, hidden: int, labels: int) -> int:
        """Values of an answer's row.

        Args:
            hidden: of all chosen layers together.
            labels: of the head, for the strategies that give its scores.
        """
        if self.needs_head:
            return labels
        return 2 * hidden if self is PoolingStrategy.REDUCE_MEAN_MAX else hidden


class Tokens(Protocol):
    """What a library of arrays does with the tokens of a packed batch; all of it in float32.

    Attributes:
        mask: [T, 1], 1 for a token that is pooled, else 0.
    """

    mask: Any

    def sum(self, values: Any) -> Any:
        """[T, width] to [B, width]: over the tokens of each sequence."""

    def max(self, values: Any) -> Any:
        """Likewise."""

    def take(self, values: Any, places: Any = None) -> Any:
        """One token's row of each sequence, [B, width]: the first, or that at ``places``, float32 [B, 1]."""

    def join(self, parts: list[Any]) -> Any:
        """Rows side by side."""


def pool_tokens(hidden: Any, tokens: Tokens, strategy: PoolingStrategy) -> Any:
    """Pool token vectors.

    Args:
        hidden: float32 [T, width], the chosen layers side by side.
        strategy: one of those that look at tokens only (not CLS_POOLED, CLASSIFICATION, REGRESSION).

    Returns:
        float32 [T, width] for NONE, [B, 2 * width] for REDUCE_MEAN_MAX, else [B, width].

    The formulas are bert-as-service 1.10.0's. LAST_TOKEN takes position sum(mask) - 1, which under
    ``-mask_cls_sep`` is not the last token but that many places before it: kept, since stored vectors depend on it.
    """
    if strategy is PoolingStrategy.NONE:
        return hidden * tokens.mask
    if strategy is PoolingStrategy.FIRST_TOKEN:
        return tokens.take(hidden)
    if strategy is PoolingStrategy.LAST_TOKEN:
        return tokens.take(hidden, tokens.sum(tokens.mask) - 1.0)
    if strategy is PoolingStrategy.REDUCE_MEAN:
        return _mean(hidden, tokens)
    if strategy is PoolingStrategy.REDUCE_MAX:
        return _max(hidden, tokens)
    if strategy is PoolingStrategy.REDUCE_MEAN_MAX:
        return tokens.join([_mean(hidden, tokens), _max(hidden, tokens)])
    raise ValueError(f"{strategy!r} does not pool tokens")


def _mean(hidden: Any, tokens: Tokens) -> Any:
    return tokens.sum(hidden * tokens.mask) / (tokens.sum(tokens.mask) + MEAN_EPSILON)


def _max(hidden: Any, tokens: Tokens) -> Any:
    return tokens.max(hidden - (1.0 - tokens.mask) * MASKED_OUT)
