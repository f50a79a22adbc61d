"""How fast each variable of a tagger learns, and which learn first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_index
from bert_ft.tasks.tagging.options import TaggingOptions

CRF_SCOPE = "crf/"


def rate_factors(options: TaggingOptions, names: Iterable[str], config: BertConfig) -> dict[str, float]:
    """What each variable's rate is multiplied with.

    A layer has ``layer_decay`` times the rate of the one above it, the embeddings once more (layer-wise learning
    rate decay, Howard & Ruder 2018, arXiv:1801.06146 §3.2).
    """
    factors = {}
    for name in names:
        layer = layer_index(name)
        if name.startswith(CRF_SCOPE):
            factors[name] = options.crf_learning_rate / options.learning_rate
        elif name.startswith("output_"):
            factors[name] = (options.head_learning_rate or options.learning_rate) / options.learning_rate
        elif layer is not None:
            factors[name] = options.layer_decay ** (config.num_hidden_layers - 1 - layer)
        elif name.startswith("bert/embeddings/"):
            factors[name] = options.layer_decay**config.num_hidden_layers
    return factors


def is_trained_first(options: TaggingOptions, config: BertConfig) -> Callable[[str], bool]:
    """Whether a variable is trained while the rest is frozen: the head, and the top layers."""
    lowest = config.num_hidden_layers - options.freeze_layers

    def trained(name: str) -> bool:
        layer = layer_index(name)
        return not name.startswith("bert/") if layer is None else layer >= lowest

    return trained
