"""A quantised model kept on disk: used only if it is whole and was made from exactly what is wanted now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bert_ft.errors import BertFtError
from bert_ft.files.replace import replaced_directory
from bert_ft.files.small import read_small

_DESCRIPTION, _XML, _BIN = "cache.json", "model.xml", "model.bin"


class StoredModel(NamedTuple):
    """An OpenVINO model as its two files hold it: the graph, and the weights as uint8."""

    xml: bytes
    weights: np.ndarray


def load_stored(folder: Path, key: dict[str, Any]) -> StoredModel | None:
    """The model in ``folder``, or None if there is none, or another's, or any byte of it is not as it was stored.

    What is returned is what was checked: the files are read once.

    Args:
        key: everything that the model depends on; JSON values.
    """
    try:
        description = json.loads(read_small(folder / _DESCRIPTION))
        if description["key"] != json.loads(json.dumps(key)):
            return None
        model = StoredModel(read_small(folder / _XML), _read_weights(folder / _BIN, description["bytes"]))
        return model if description["sha256"] == _checksums(model) else None
    except (OSError, BertFtError, ValueError, KeyError, TypeError, RecursionError):
        return None


def store(folder: Path, key: dict[str, Any], model: StoredModel) -> None:
    """Put a model into the place of whatever ``folder`` holds, as a whole.

    Raises:
        OSError: the place cannot be written.
    """
    description = {"key": key, "bytes": len(model.weights), "sha256": _checksums(model)}
    with replaced_directory(folder, _DESCRIPTION) as staging:
        (staging / _XML).write_bytes(model.xml)
        model.weights.tofile(staging / _BIN)
        (staging / _DESCRIPTION).write_text(json.dumps(description, indent=2, ensure_ascii=False), encoding="utf-8")


def _read_weights(path: Path, size: int) -> np.ndarray:
    if not path.is_file() or path.stat().st_size != size:
        raise ValueError("not the file that was stored")
    return np.fromfile(path, np.uint8)


def _checksums(model: StoredModel) -> dict[str, str]:
    return {_XML: hashlib.sha256(model.xml).hexdigest(), _BIN: hashlib.sha256(model.weights.data).hexdigest()}
