"""A model is never written over the one it is made from, and over another only when that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bert_ft.checkpoint.directory import METADATA_FILE, ModelMetadata
from bert_ft.errors import BertFtError

_SIGNS = (METADATA_FILE, "*.ckpt*.index", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
"""Ours first: of several files the first found is the one whose date is told."""
_SCORES = ("accuracy", "micro_f1")


@dataclass(frozen=True)
class FoundModel:
    """A model that a directory holds.

    Attributes:
        metadata: its bert_ft.json; None if it has none, or a broken one.
        description: what the user should know of it: task, score, date.
    """

    metadata: ModelMetadata | None
    description: str


def find_model(folder: Path) -> FoundModel | None:
    """The model in a directory, whatever wrote it: this project, Google's scripts or Hugging Face's; None if none."""
    sign = next((path for pattern in _SIGNS for path in sorted(folder.glob(pattern)) if path.is_file()), None)
    if sign is None:
        return None
    metadata, known = None, [sign.name]
    if sign.name == METADATA_FILE:
        try:
            metadata = ModelMetadata.load(sign)
            known = [f"task {metadata.task}", *_score(metadata)]
        except BertFtError:
            known = [f"its {METADATA_FILE} cannot be read"]
    written = datetime.fromtimestamp(sign.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return FoundModel(metadata, ", ".join([*known, f"of {written}"]))


def refuse_source(output: Path, source: Path, instead: str = "another OUTPUT") -> None:
    """See that the output directory is not the one that a model is made from, under whatever name.

    Args:
        source: a checkpoint's prefix, or a directory.

    Raises:
        BertFtError: it is.
    """
    index = source.with_name(f"{source.name}.index")
    folders = [source] if source.is_dir() else [source.parent, index.resolve().parent]  # the index may be a link
    if output.is_dir() and any(folder.is_dir() and output.samefile(folder) for folder in folders):
        raise BertFtError(f"{output}: holds the model to start from, which would be lost; give {instead}")


def refuse_model(output: Path, overwrite: bool) -> None:
    """See that nothing is lost by writing a model into a directory.

    Raises:
        BertFtError: it holds a model, and ``overwrite`` is false.
    """
    found = None if overwrite else find_model(output)
    if found is not None:
        raise BertFtError(
            f"{output}: holds a model ({found.description}); give --overwrite to replace it, or another OUTPUT"
        )


def _score(metadata: ModelMetadata) -> Iterator[str]:
    dev = metadata.metrics.get("dev")
    for name in _SCORES:
        value = dev.get(name) if isinstance(dev, dict) else None
        if isinstance(value, float):
            yield f"{name} {value:.4f}"
            return
