"""The model directory: which files it has and what bert_ft.json says of them. Reads no weights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bert_ft.checkpoint.config import BertConfig
from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab

FORMAT_VERSION = 1
METADATA_FILE = "bert_ft.json"
CHECKPOINT_NAME = "bert_model.ckpt"
CONFIG_NAME = "bert_config.json"
VOCAB_NAME = "vocab.txt"


@dataclass(frozen=True)
class ModelMetadata:
    """What bert_ft.json adds to Google's files.

    Attributes:
        task: the task trained on, such as "emotion"; "encoder" for a checkpoint without a head.
        head: "classification", or None for a checkpoint without a head.
        labels: label names in id order; empty without a head.
        max_seq_length: longest input of training, in pieces with special tokens.
        do_lower_case: whether text is lower-cased and stripped of accents.
        head_options: what the head needs besides its weights.
        metrics: scores of the chosen checkpoint on the development data.
        flags: the resolved flags of the training command.
        checksums: sha256 of the directory's small files, by file name.
    """

    task: str
    head: str | None
    labels: list[str]
    max_seq_length: int
    do_lower_case: bool
    head_options: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ModelMetadata:
        try:
            raw = json.loads(read_small(path).decode("utf-8"))
            version = raw["format_version"]
            if version != FORMAT_VERSION:
                raise BertFtError(
                    f"{path}: format version {version!r}, this bert-ft reads {FORMAT_VERSION}; upgrade bert-ft"
                )
            metadata = cls(**raw)
        except BertFtError:
            raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BertFtError(f"{path}: not a bert_ft.json of format {FORMAT_VERSION} ({error})") from None
        metadata._check(path)
        return metadata

    def _check(self, path: Path) -> None:
        for names, kind, what in (
            (("task",), str, "a string"),
            (("head",), (str, type(None)), "a string or null"),
            (("labels",), list, "a list of strings"),
            (("max_seq_length",), int, "a whole number"),
            (("do_lower_case",), bool, "true or false"),
            (("head_options", "metrics", "flags", "checksums"), dict, "an object"),
        ):
            for name in names:
                if not isinstance(getattr(self, name), kind):
                    raise BertFtError(f"{path}: {name} must be {what}")
        if not all(isinstance(label, str) for label in self.labels):
            raise BertFtError(f"{path}: labels must be a list of strings")
        if self.max_seq_length < 1:
            raise BertFtError(f"{path}: max_seq_length must be positive, not {self.max_seq_length}")


@dataclass(frozen=True)
class ModelDirectory:
    """The parts of a model directory, all of them seen to exist.

    Attributes:
        checkpoint: the checkpoint prefix, such as ``DIR/bert_model.ckpt``.
        metadata: bert_ft.json, or None in a directory that Google's own tools wrote.
    """

    path: Path
    checkpoint: Path
    vocab_file: Path
    config: BertConfig
    metadata: ModelMetadata | None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ModelDirectory:
        """See :func:`open_model_directory`."""
        return open_model_directory(Path(path))

    @property
    def do_lower_case(self) -> bool:
        """The casing of bert_ft.json, else true."""
        return self.metadata.do_lower_case if self.metadata else True

    @property
    def window_pieces(self) -> int:
        """Pieces of the windows in which a tagging head reads: as many as in its training; else the positions.

        Positions beyond those of the training are as training found them, random ones where it began at random.
        """
        positions = self.config.max_position_embeddings
        trained = self.metadata.max_seq_length if self.metadata and self.metadata.head == "tagging" else positions
        return min(positions, trained)

    def max_pieces(self, asked: int | None) -> int:
        """Pieces of the longest input: as many as ``--max_seq_length`` asks for, else the model's positions.

        Raises:
            BertFtError: the model has fewer positions.
        """
        positions = self.config.max_position_embeddings
        if asked is not None and asked > positions:
            raise BertFtError(f"--max_seq_length={asked} is more than the model's {positions} positions")
        return asked or positions

    def tokenizer(self, do_lower_case: bool | None = None) -> FullTokenizer:
        """The model's, in the casing given, or in its own.

        Raises:
            BertFtError: the vocabulary cannot be read, or is another model's.
        """
        vocab = load_fitting_vocab(self.vocab_file, self.config)
        return FullTokenizer(vocab, self.do_lower_case if do_lower_case is None else do_lower_case)


def open_model_directory(
    model_dir: str | Path,
    checkpoint_name: str = CHECKPOINT_NAME,
    config_name: str = CONFIG_NAME,
    tuned_model_dir: str | Path | None = None,
) -> ModelDirectory:
    """Find and check the files of a model directory without reading weights.

    Args:
        model_dir: holds vocab.txt, the configuration and, unless ``tuned_model_dir`` is given, the checkpoint.
        tuned_model_dir: where the checkpoint (and bert_ft.json) comes from instead.

    Raises:
        BertFtError: a folder or file is missing or broken, or is not the one that was written with the others.
    """
    base = Path(model_dir)
    tuned = Path(tuned_model_dir) if tuned_model_dir else base
    for folder in {base, tuned}:
        if not folder.is_dir():
            raise BertFtError(f"{folder}: no such directory; give the folder that holds {checkpoint_name}.index")
    config = BertConfig.load(base / config_name)
    vocab_file = base / VOCAB_NAME
    if not vocab_file.is_file():
        raise BertFtError(f"{vocab_file}: no such file; a model directory needs its vocab.txt")
    checkpoint = tuned / checkpoint_name
    check_checkpoint_files(checkpoint)
    metadata = None
    if (tuned / METADATA_FILE).is_file() and checkpoint_name == CHECKPOINT_NAME:
        metadata = ModelMetadata.load(tuned / METADATA_FILE)
        _check_checksums(tuned, metadata)
    return ModelDirectory(base, checkpoint, vocab_file, config, metadata)


def check_checkpoint_files(prefix: str | Path) -> None:
    """See that PREFIX.index and its data file are there.

    Raises:
        BertFtError: one of them is absent.
    """
    prefix = Path(prefix)
    index = prefix.with_name(prefix.name + ".index")
    if not index.is_file():
        near = sorted(path.name[: -len(".index")] for path in prefix.parent.glob("*.index"))
        hint = f"; the folder has {', '.join(near)}" if near else ""
        raise BertFtError(f"{index}: no such file; give a checkpoint prefix such as DIR/bert_model.ckpt{hint}")
    if not data_files(prefix):
        raise BertFtError(f"{prefix}.data-00000-of-00001: no such file; the checkpoint's weights are missing")


def data_files(prefix: Path) -> list[Path]:
    """The files that hold a checkpoint's weights."""
    return sorted(prefix.parent.glob(prefix.name + ".data-*"))


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _check_checksums(folder: Path, metadata: ModelMetadata) -> None:
    for name, expected in metadata.checksums.items():
        path = folder / name
        if Path(name).name != name:
            raise BertFtError(f"{folder / METADATA_FILE}: checksum for {name!r}, which is not a file of this folder")
        if not path.is_file():
            raise BertFtError(f"{path}: no such file, but {METADATA_FILE} lists it; copy the directory again")
        if sha256(path) != expected:
            raise BertFtError(
                f"{path}: not the file that was written with {METADATA_FILE}; copy the directory again, "
                f"or delete {METADATA_FILE} if the change is meant"
            )


def load_fitting_vocab(path: Path, config: BertConfig) -> Vocab:
    """Read a vocabulary that has one entry for each row of the model's word embeddings.

    Raises:
        BertFtError: it cannot be read, or has more or fewer entries: another model's, or a broken copy.
    """
    vocab = Vocab.load(path)
    if len(vocab) != config.vocab_size:
        raise BertFtError(
            f"{path}: has {len(vocab)} entries, but the configuration says vocab_size {config.vocab_size}; "
            "use the vocab.txt that came with the checkpoint"
        )
    return vocab
