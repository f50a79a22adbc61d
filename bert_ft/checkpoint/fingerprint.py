"""Which model a directory holds, and holding on to it while another takes its place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bert_ft.checkpoint.directory import CHECKPOINT_NAME, CONFIG_NAME, METADATA_FILE, VOCAB_NAME, data_files
from bert_ft.files.small import read_small

SHOWN = 16
"""Characters of a fingerprint."""


class ModelPlace(NamedTuple):
    """Where a model is read from; see :func:`bert_ft.checkpoint.directory.open_model_directory`."""

    model_dir: str
    checkpoint_name: str = CHECKPOINT_NAME
    config_name: str = CONFIG_NAME
    tuned_model_dir: str | None = None

    def files(self) -> dict[str, Path]:
        """Those that are there, by where :func:`linked` puts them."""
        base, tuned = Path(self.model_dir), Path(self.tuned_model_dir or self.model_dir)
        checkpoint = tuned / self.checkpoint_name
        names = [f"{self.checkpoint_name}.index", f"{self.checkpoint_name}.meta", METADATA_FILE, VOCAB_NAME]
        paths = {f"model/{name}": base / name for name in (self.config_name, VOCAB_NAME)}
        paths |= {f"tuned/{name}": tuned / name for name in (*names, CONFIG_NAME)}
        paths |= {f"tuned/{path.name}": path for path in data_files(checkpoint)}
        return {name: path for name, path in paths.items() if path.is_file()}


def fingerprint(place: ModelPlace) -> str:
    """Tells the model of a place from every other: 16 hexadecimal digits.

    It is made of the vocabulary, the configuration, bert_ft.json and the checkpoint's index. The index has a checksum
    of each variable, which whoever reads the weights compares; so the weights need not be read here.

    Example::

        assert fingerprint(ModelPlace("output")) == fingerprint(ModelPlace("output"))
    """
    contents = {}
    for name, path in place.files().items():
        if _tells(name):
            contents[name] = hashlib.sha256(read_small(path)).digest()
    return _joined(contents)


class HeldFiles:
    """A model's files, open.

    A directory that is replaced as a whole, as trainings do it, leaves its old files readable to whoever has them open.
    One whose files are written over does not: :meth:`where` tells.

    Attributes:
        fingerprint: of the model when its files were opened.
        descriptors: by the names of :meth:`ModelPlace.files`.
    """

    def __init__(self, place: ModelPlace) -> None:
        self.place = place
        self.descriptors: dict[str, int] = {}
        try:
            for name, path in place.files().items():
                self.descriptors[name] = os.open(path, os.O_RDONLY)
            self.fingerprint = self._fingerprint()
        except BaseException:
            self.close()
            raise

    def where(self) -> str | None:
        """Where the model can be read: at its "place", by what is "held" only, or nowhere (None)."""
        try:
            if fingerprint(self.place) == self.fingerprint:
                return "place"
        except OSError:
            pass
        return "held" if _can_link() and self._fingerprint() == self.fingerprint else None

    def close(self) -> None:
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors = {}

    def _fingerprint(self) -> str:
        contents = {}
        for name, descriptor in self.descriptors.items():
            if _tells(name):
                contents[name] = hashlib.sha256(_content(descriptor)).digest()
        return _joined(contents)


@contextmanager
def linked(descriptors: Mapping[str, int], place: ModelPlace) -> Iterator[ModelPlace]:
    """A folder in which this process's descriptors have the names of files, until the end of the block.

    Args:
        descriptors: as :attr:`HeldFiles.descriptors`.
        place: whose names they have.
    """
    with tempfile.TemporaryDirectory(prefix="bert-ft-model-") as folder:
        for name, descriptor in descriptors.items():
            link = Path(folder, name)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        model, tuned = str(Path(folder, "model")), str(Path(folder, "tuned"))
        yield place._replace(model_dir=model, tuned_model_dir=tuned)


def _tells(name: str) -> bool:
    return ".data-" not in name and not name.endswith(".meta")


def _can_link() -> bool:
    return os.path.isdir(f"/proc/{os.getpid()}/fd")


def _content(descriptor: int) -> bytes:
    """All of a file, whoever else reads from its descriptor."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _joined(digests: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(digests):
        whole.update(f"{name}\0".encode() + digests[name])
    return whole.hexdigest()[:SHOWN]
