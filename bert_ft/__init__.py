"""Fine-tune Google BERT checkpoints, and use what comes of it: the same models that the commands and the server have.

What stands here is imported when it is used; TensorFlow only when something is trained, or when it is the engine.

    >>> import bert_ft
    >>> bert_ft.Encoder(model_dir).encode(["今天很高兴", "it rains"]).shape
    (2, 128)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_ft.checkpoint.directory import ModelDirectory
    from bert_ft.inference.classes import Classifier
    from bert_ft.inference.entities import Tagger
    from bert_ft.inference.vectors import Encoder
    from bert_ft.tasks.train import train

__version__ = "0.1.0"
__all__ = ["Classifier", "Encoder", "ModelDirectory", "Tagger", "train"]
_PLACES = {
    "Classifier": "bert_ft.inference.classes",
    "Encoder": "bert_ft.inference.vectors",
    "ModelDirectory": "bert_ft.checkpoint.directory",
    "Tagger": "bert_ft.inference.entities",
    "train": "bert_ft.tasks.train",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
