"""What a pooling strategy asks of a model directory's head, for engines."""

from __future__ import annotations

from bert_ft.checkpoint.head import CLASSIFICATION, HeadKind
from bert_ft.engines.base import EngineOptions
from bert_ft.errors import BertFtError
from bert_ft.pooling_strategy import PoolingStrategy


def check_head(options: EngineOptions, head: HeadKind | None) -> None:
    """See that the head fits a pooling strategy that needs one.

    Raises:
        BertFtError: it does not.
    """
    strategy = PoolingStrategy.parse(options.pooling_strategy)
    if not strategy.needs_head:
        return
    flag = f"-pooling_strategy {strategy.name}"
    if head is None or head.name != CLASSIFICATION:
        raise BertFtError(
            f"{flag}: the checkpoint has no classification head (output_weights); serve a fine-tuned directory or "
            "choose another strategy"
        )
    wanted = 1 if strategy is PoolingStrategy.REGRESSION else options.num_labels
    if len(head.labels) != wanted:
        raise BertFtError(
            f"{flag}: the head has {len(head.labels)} labels, not {wanted}; give -num_labels {len(head.labels)}"
        )
