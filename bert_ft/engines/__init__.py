"""Engines by name, and any other by ``package.module:Class``; one is imported only when it is loaded."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from bert_ft.engines.base import Engine
from bert_ft.errors import BertFtError


class KnownEngine(NamedTuple):
    """What can be said of an engine before it is imported.

    Attributes:
        place: ``package.module:Class``.
        precisions: that it has.
        libraries: that it needs beside bert-ft's own, by precision; "" for all of them.
        uses_gpu: whether it can.
    """

    place: str
    precisions: tuple[str, ...]
    libraries: dict[str, tuple[str, ...]]
    uses_gpu: bool


ENGINES = {
    "tensorflow": KnownEngine("bert_ft.engines.tensorflow:TensorFlowEngine", ("fp32", "bf16"), {}, True),
    "openvino": KnownEngine(
        "bert_ft.engines.openvino.engine:OpenvinoEngine",
        ("fp32", "bf16", "int8"),
        {"": ("openvino",), "int8": ("openvino", "nncf")},
        False,
    ),
}


def is_place(name: str) -> bool:
    """Whether it is written as ``package.module:Class``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def engine_class(name: str) -> type[Engine]:
    """Import an engine's module and return its class.

    Args:
        name: a key of :data:`ENGINES`, or ``package.module:Class``.

    Raises:
        BertFtError: the module, or a library of it, cannot be imported, or has no such class.

    Example:
        >>> engine_class("tensorflow").__name__
        'TensorFlowEngine'
    """
    module, _, attribute = (ENGINES[name].place if name in ENGINES else name).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ImportError as error:
        reason = f"the {name} engine cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        raise BertFtError(f"{reason}; install its library anew, or give another -engine") from None
    except AttributeError:
        raise BertFtError(f"-engine {name}: {module} has no {attribute}") from None
