"""Google's variable names and their shapes: the single source of truth for checkpoints."""

from __future__ import annotations

import re

from bert_ft.checkpoint.config import BertConfig

Shapes = dict[str, tuple[int, ...]]

_ADAM_SLOT = re.compile(r"/adam_[mv]$")


def encoder_shapes(config: BertConfig) -> Shapes:
    """Names and shapes of the encoder's variables, in the order of the network; kernels are [in, out]."""
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: Shapes = {
        "bert/embeddings/word_embeddings": (config.vocab_size, hidden),
        "bert/embeddings/token_type_embeddings": (config.type_vocab_size, hidden),
        "bert/embeddings/position_embeddings": (config.max_position_embeddings, hidden),
        **_layer_norm("bert/embeddings/LayerNorm", hidden),
    }
    for index in range(config.num_hidden_layers):
        layer = layer_scope(index)
        for name in ("query", "key", "value"):
            shapes |= _dense(f"{layer}/attention/self/{name}", hidden, hidden)
        shapes |= _dense(f"{layer}/attention/output/dense", hidden, hidden)
        shapes |= _layer_norm(f"{layer}/attention/output/LayerNorm", hidden)
        shapes |= _dense(f"{layer}/intermediate/dense", hidden, inner)
        shapes |= _dense(f"{layer}/output/dense", inner, hidden)
        shapes |= _layer_norm(f"{layer}/output/LayerNorm", hidden)
    return shapes | pooler_shapes(config)


def layer_shapes(config: BertConfig, depth: int) -> Shapes:
    """Of the embeddings and the first ``depth`` layers, without the pooler."""
    pooler = pooler_shapes(config)
    return {
        name: shape
        for name, shape in encoder_shapes(config).items()
        if name not in pooler and (layer_index(name) or 0) < depth
    }


def pooler_shapes(config: BertConfig) -> Shapes:
    return _dense("bert/pooler/dense", config.hidden_size, config.hidden_size)


def layer_scope(index: int) -> str:
    return f"bert/encoder/layer_{index}"


def layer_index(name: str) -> int | None:
    """The encoder layer a variable belongs to, or None for embeddings, pooler and heads."""
    match = re.match(r"bert/encoder/layer_(\d+)/", name)
    return int(match[1]) if match else None


def is_training_state(name: str) -> bool:
    """Whether a variable belongs to the optimizer rather than to the network."""
    return name == "global_step" or _ADAM_SLOT.search(name) is not None


def _dense(scope: str, inputs: int, outputs: int) -> Shapes:
    return {f"{scope}/kernel": (inputs, outputs), f"{scope}/bias": (outputs,)}


def _layer_norm(scope: str, size: int) -> Shapes:
    return {f"{scope}/beta": (size,), f"{scope}/gamma": (size,)}
