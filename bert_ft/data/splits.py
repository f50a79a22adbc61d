"""Which file of a folder is the training, development or test data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bert_ft.data.tables import sheet_of
from bert_ft.errors import BertFtError

_NAMES = {"train": ("train",), "dev": ("dev", "val", "valid", "validation"), "test": ("test",)}
_ENDINGS = ("txt", "conll", "bio", "bmes", "json", "jsonl", "csv", "tsv")


def find_split(data_dir: Path, split: str, given: str | None) -> Path | None:
    """The file of "train", "dev" or "test", or None.

    Args:
        given: its name below ``data_dir``, or None to look for ``train.txt``, ``train.json`` …, ``NAME.train``.

    Raises:
        BertFtError: the file given is not there, or several could be meant.
    """
    if not data_dir.is_dir():
        raise BertFtError(f"{data_dir}: no such folder; give the folder of the data with --data_dir")
    if given is not None:
        if not (data_dir / given).is_file():
            raise BertFtError(f"{data_dir / given}: no such file; --{split}_file names a file below --data_dir")
        return data_dir / given
    found = [
        path
        for path in sorted(data_dir.iterdir())
        if path.is_file() and (_is_named(path, _NAMES[split]) or path.suffix[1:] in _NAMES[split])
    ]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BertFtError(f"{data_dir}: {names} could all be the {split} data; choose with --{split}_file")
    return found[0] if found else None


def find_training_file(data_dir: Path, given: str | None) -> Path:
    """The training file; the folder's only data file if none is called so."""
    found = find_split(data_dir, "train", given)
    if found is None:
        data = [path for path in sorted(data_dir.iterdir()) if path.suffix[1:] in _ENDINGS[3:]]
        if len(data) != 1:
            raise BertFtError(f"{data_dir}: has no train.txt, train.json or such; name it with --train_file")
        found = data[0]
    return found


def find_named(data_dir: Path, names: Iterable[str]) -> str:
    """The first of some file names that is there; raises BertFtError if none is."""
    for name in names:
        if sheet_of(data_dir / name)[0].is_file():
            return name
    raise BertFtError(f"{data_dir}: has no {' nor '.join(names)}; give the folder of the data with --data_dir")


def _is_named(path: Path, stems: tuple[str, ...]) -> bool:
    return path.stem in stems and path.suffix[1:] in _ENDINGS
