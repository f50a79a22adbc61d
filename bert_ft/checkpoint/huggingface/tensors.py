"""The tensors of a Hugging Face BERT folder, in one safetensors file or several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from bert_ft.checkpoint.huggingface.config import CONFIG_FILE, read_json
from bert_ft.checkpoint.huggingface.names import is_buffer, is_transposed, plain_name, tensor_name
from bert_ft.checkpoint.variables import Shapes
from bert_ft.errors import BertFtError

WEIGHTS_FILE = "model.safetensors"
_INDEX_FILE = "model.safetensors.index.json"
_EXACT_TYPES = ("F32", "F16", "BF16")


class TensorReader(contextlib.AbstractContextManager["TensorReader"]):
    """Reads a folder's tensors one at a time, under Google's names and in Google's layout.

    Attributes:
        shapes: by plain name (no prefix, no old spelling), as stored.

    Raises:
        BertFtError: there is no safetensors file, or one that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._files = contextlib.ExitStack()
        self._stored: dict[str, _Stored] = {}
        self.shapes: Shapes = {}
        with contextlib.ExitStack() as files:
            for path in _weight_files(folder):
                try:
                    file = files.enter_context(safe_open(path, framework="numpy"))
                except (OSError, SafetensorError) as error:
                    raise BertFtError(f"{path}: not a readable safetensors file ({error}); copy it again") from None
                self._add(path, file)
            self._files = files.pop_all()
        self._source = path

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def read(self, variable: str, shape: tuple[int, ...]) -> np.ndarray:
        """One variable as float32.

        Args:
            variable: Google's name.
            shape: in Google's layout.

        Raises:
            BertFtError: the tensor is missing, has another shape, or a type that float32 does not contain.
        """
        name = tensor_name(variable)
        if name not in self._stored:
            raise BertFtError(
                f"{self._source}: tensor {name} is missing; it has {len(self._stored)} tensors, "
                f"such as {next(iter(self._stored), 'none')}"
            )
        tensor = self._stored[name]
        expected = shape[::-1] if is_transposed(variable) else shape
        if self.shapes[name] != expected:
            raise BertFtError(
                f"{tensor.path}: tensor {tensor.name} has shape {list(self.shapes[name])}, "
                f"{CONFIG_FILE} asks for {list(expected)}"
            )
        kind = tensor.file.get_slice(tensor.name).get_dtype()
        if kind not in _EXACT_TYPES:
            raise BertFtError(
                f"{tensor.path}: tensor {tensor.name} is {kind}; only {', '.join(_EXACT_TYPES)} can be read exactly"
            )
        return turned(variable, tensor.file.get_tensor(tensor.name).astype(np.float32, copy=False))

    def others(self, wanted: Iterable[str]) -> list[str]:
        """Stored names of the tensors that are none of the wanted variables, nor constants."""
        used = {tensor_name(variable) for variable in wanted}
        return [tensor.name for name, tensor in self._stored.items() if name not in used and not is_buffer(name)]

    def _add(self, path: Path, file: Any) -> None:
        for stored in sorted(file.keys()):
            name = plain_name(stored)
            if name in self._stored:
                raise BertFtError(f"{path}: {stored} and {self._stored[name].name} are the same tensor; delete one")
            self._stored[name] = _Stored(path, file, stored)
            self.shapes[name] = tuple(file.get_slice(stored).get_shape())


class _Stored(NamedTuple):
    path: Path
    file: Any
    name: str


def turned(variable: str, value: np.ndarray) -> np.ndarray:
    """A variable in the other of the two layouts."""
    return np.ascontiguousarray(value.T if is_transposed(variable) else value)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    index = folder / _INDEX_FILE
    if index.is_file():
        parts = read_json(index).get("weight_map")
        if not isinstance(parts, dict) or not parts or not all(_is_file_name(part) for part in parts.values()):
            raise BertFtError(f"{index}: has no weight_map from tensors to files of this folder")
        return [folder / part for part in sorted(set(parts.values()))]
    pickled = (folder / "pytorch_model.bin").is_file()
    hint = "pytorch_model.bin is a pickle and not read: save the model as safetensors" if pickled else "save it so"
    raise BertFtError(f"{folder / WEIGHTS_FILE}: no such file; {hint}")


def _is_file_name(part: Any) -> bool:
    return isinstance(part, str) and Path(part).name == part
