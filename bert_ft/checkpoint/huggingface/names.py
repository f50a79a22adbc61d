"""Hugging Face's names for the variables of Google's checkpoints."""

from __future__ import annotations

import re

from bert_ft.checkpoint.head import CRF_TRANSITIONS

_PREFIX = "bert."
_HEAD_NAMES = {
    "output_weights": "classifier.weight",
    "output_bias": "classifier.bias",
    CRF_TRANSITIONS: "crf.transitions",  # no class of theirs has it; kept so that nothing is lost on the way back
}
_PARTS = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


def tensor_name(variable: str) -> str:
    """The name, without prefix, under which Hugging Face's BertModel keeps a variable of Google's."""
    if variable in _HEAD_NAMES:
        return _HEAD_NAMES[variable]
    path = re.sub(r"/layer_(\d+)/", r"/layer.\1/", variable).split("/")[1:]
    if path[-1].endswith("_embeddings"):
        return ".".join([*path, "weight"])
    return ".".join([*path[:-1], _PARTS.get(path[-1], path[-1])])


def prefixed_tensor_name(variable: str) -> str:
    """The same inside a class with a head, where the encoder's names begin with ``bert.``."""
    name = tensor_name(variable)
    return name if variable in _HEAD_NAMES else _PREFIX + name


def is_transposed(variable: str) -> bool:
    """Whether the two layouts differ: Google's dense kernels are [in, out], Hugging Face's weights [out, in]."""
    return variable.endswith("/kernel")


def plain_name(tensor: str) -> str:
    """A tensor's name without prefix, LayerNorm's old names ``gamma`` and ``beta`` replaced."""
    name = tensor.removeprefix(_PREFIX)
    scope, _, part = name.rpartition(".")
    return f"{scope}.{_PARTS[part]}" if scope.endswith("LayerNorm") and part in ("gamma", "beta") else name


def is_buffer(name: str) -> bool:
    """Whether a plain name is that of a constant that Hugging Face used to store."""
    return name in _BUFFERS
