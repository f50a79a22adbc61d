"""The state of an unfinished training, from which --resume goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import METADATA_FILE, open_model_directory, sha256
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import Shapes
from bert_ft.checkpoint.writer import write_variables
from bert_ft.errors import BertFtError
from bert_ft.files.replace import clear_leftovers, remove_directory, replaced_directory
from bert_ft.training.loop import FitResult

logger = logging.getLogger(__name__)

FOLDER = "training_state"
VARIABLES = "variables"
STATE_FILE = "training_state.json"
FORMAT_VERSION = 1

_INDEX = f"{VARIABLES}.index"
_SHOWN = 60  # characters of a value in a message


class TrainingState:
    """The folder ``training_state`` in a training's output directory.

    It holds every variable and its Adam moments under Google's names (a TensorFlow checkpoint) and a JSON file: steps
    done, scores so far, what identifies the training. It is replaced as a whole and removed when the training ends.

    Attributes:
        step: steps done in the state that is there; 0 if none was saved or loaded.
    """

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / FOLDER
        self.step = 0
        self._output_dir = output_dir

    def prepare(self, resume: bool) -> None:
        """Clear away what a killed training left; called before anything is read.

        Raises:
            BertFtError: there is no training to resume.
        """
        clear_leftovers(self._output_dir, METADATA_FILE)
        clear_leftovers(self.path, STATE_FILE)
        if resume and not self.path.is_dir():
            finished = ", only a finished model" if (self._output_dir / METADATA_FILE).is_file() else ""
            raise BertFtError(f"{self._output_dir}: has no unfinished training to resume{finished}; leave out --resume")

    def save(self, result: FitResult, variables: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Replace the state. That it cannot be written is a warning: the training needs it only when it breaks off.

        Args:
            variables: the model's and the optimizer's, by name.
            identity: JSON values by name, which :meth:`load` compares.
        """
        try:
            with replaced_directory(self.path, last=STATE_FILE) as staging:
                write_variables(staging / VARIABLES, variables)
                state = {
                    "format_version": FORMAT_VERSION,
                    "identity": dict(identity),
                    "checksum": sha256(staging / _INDEX),  # the index has a checksum of each variable
                    **{name: value for name, value in asdict(result).items() if name in _RESULT_FIELDS},
                }
                (staging / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
            self.step = result.steps
        except OSError as error:
            there = f"; the one of step {self.step} is kept" if self.step else ""
            logger.warning("%s: the state could not be written (%s)%s", self.path, error.strerror or error, there)

    def load(self, shapes: Shapes, identity: Mapping[str, Any]) -> tuple[FitResult, dict[str, np.ndarray]]:
        """How far the training has come, and its variables in the order of ``shapes``.

        Raises:
            BertFtError: the state is of another training, or broken, or its best model is not in the directory.
        """
        raw = self._read()
        saved, current = raw["identity"], json.loads(json.dumps(identity))
        for name in {**current, **saved}:
            if saved.get(name) != current.get(name):
                raise BertFtError(
                    f"{self.path}: was saved with {name} {_shown(saved.get(name))}, not {_shown(current.get(name))}; "
                    "put that back, or leave out --resume to start anew"
                )
        if sha256(self.path / _INDEX) != raw["checksum"]:
            raise self._broken(f"{_INDEX} was not written with {STATE_FILE}")
        result = FitResult(**{name: raw[name] for name in _RESULT_FIELDS})
        try:
            if result.best_step:
                open_model_directory(self._output_dir)
            variables = CheckpointReader(self.path / VARIABLES).load(shapes)
        except BertFtError as error:
            # what readers advise at the end, to copy the files again, is no help: there is no other copy
            raise self._broken(str(error).rpartition("; ")[0] or str(error)) from error
        self.step = result.steps
        return result, variables

    def start_anew(self) -> None:
        """Say that an unfinished training is given up, if there is one, and remove its state."""
        if self.path.is_dir():
            logger.warning("%s: the unfinished training there is given up (--resume would continue it)", self.path)
            self.remove()

    def remove(self) -> None:
        remove_directory(self.path)
        self.step = 0

    def _read(self) -> dict[str, Any]:
        try:
            raw = json.loads((self.path / STATE_FILE).read_text(encoding="utf-8"))
            version = raw["format_version"]
            if version != FORMAT_VERSION:
                raise ValueError(f"format version {version!r}, this bert-ft reads {FORMAT_VERSION}")
            for name, kind in {**_RESULT_FIELDS, "identity": dict, "checksum": str}.items():
                if not isinstance(raw[name], kind):
                    raise TypeError(f"{name} is no {kind.__name__}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._broken(f"{STATE_FILE}: {error}") from None
        if not (self.path / _INDEX).is_file():
            raise self._broken(f"{_INDEX} is missing")
        return raw

    def _broken(self, why: str) -> BertFtError:
        return BertFtError(f"{self.path}: cannot be resumed from ({why}); leave out --resume to start anew")


_RESULT_FIELDS: dict[str, type] = {"steps": int, "best_step": int, "best": dict, "history": list}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    elif value is None or isinstance(value, bool):
        value = "unset" if value is None else str(value).lower()
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
