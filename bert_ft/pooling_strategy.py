"""The pooling strategies of bert-as-service by name and number."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from bert_ft.errors import BertFtError


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
