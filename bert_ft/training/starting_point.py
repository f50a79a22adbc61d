"""Where a training starts: the checkpoint, its vocabulary and configuration, casing, and the first weights."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import (
    CHECKPOINT_NAME,
    CONFIG_NAME,
    METADATA_FILE,
    VOCAB_NAME,
    ModelMetadata,
    check_checkpoint_files,
    load_fitting_vocab,
    sha256,
)
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.errors import BertFtError
from bert_ft.model.heads import Head
from bert_ft.text.tokenizer import FullTokenizer

logger = logging.getLogger(__name__)

PREFERRED_FOLDER = "chinese_L-12_H-768_A-12"


@dataclass(frozen=True)
class StartingPoint:
    """The files a training starts from, checked against each other.

    Attributes:
        checkpoint: checkpoint prefix.
        metadata: bert_ft.json beside the checkpoint, if there is one.
    """

    checkpoint: Path
    vocab_file: Path
    config: BertConfig
    tokenizer: FullTokenizer
    do_lower_case: bool
    metadata: ModelMetadata | None

    @classmethod
    def resolve(
        cls,
        init_checkpoint: str | None,
        vocab_file: str | None,
        bert_config_file: str | None,
        do_lower_case: bool | None,
        output_dir: Path,
    ) -> StartingPoint:
        """Find what the options leave out and check the whole.

        Args:
            init_checkpoint: a prefix or a model directory; None looks for the one below the current directory.
            vocab_file, bert_config_file: None takes the files beside the checkpoint.
            do_lower_case: None takes what the checkpoint's folder says.
            output_dir: never taken for the checkpoint to start from.
        """
        checkpoint = _prefix(Path(init_checkpoint)) if init_checkpoint else _find_checkpoint(output_dir)
        check_checkpoint_files(checkpoint)
        vocab_path = Path(vocab_file) if vocab_file else checkpoint.parent / VOCAB_NAME
        config_path = Path(bert_config_file) if bert_config_file else checkpoint.parent / CONFIG_NAME
        config = BertConfig.load(config_path)
        vocab = load_fitting_vocab(vocab_path, config)
        metadata_path = checkpoint.parent / METADATA_FILE
        metadata = ModelMetadata.load(metadata_path) if metadata_path.is_file() else None
        lower = _casing(checkpoint, metadata, do_lower_case)
        return cls(checkpoint, vocab_path, config, FullTokenizer(vocab, lower), lower, metadata)

    def identity(self) -> dict[str, Any]:
        """What must be the same for a training to be resumed, by the name a user knows it by."""
        index = self.checkpoint.with_name(self.checkpoint.name + ".index")
        return {
            "--init_checkpoint": f"of sha256 {sha256(index)[:16]}",
            "--vocab_file": f"of sha256 {sha256(self.vocab_file)[:16]}",
            "--do_lower_case": self.do_lower_case,
            **{f"bert_config.json's {name}": value for name, value in asdict(self.config).items()},
        }

    def weights(self, head: Head, labels: list[str], seed: int) -> dict[str, np.ndarray]:
        """The encoder from the checkpoint; the head from it too if it has the same labels, else drawn anew."""
        reader = CheckpointReader(self.checkpoint)
        weights = reader.load(encoder_shapes(self.config))
        shapes = head.shapes(self.config)
        fits = all(reader.shapes.get(name) == shape for name, shape in shapes.items())
        if fits and (self.metadata is None or self.metadata.labels == labels):
            logger.info("the %s head is taken from %s", head.name, self.checkpoint)
            return weights | reader.load(shapes)
        logger.info("the %s head is new (%d labels)", head.name, len(labels))
        return weights | initialize(shapes, self.config.initializer_range, seed)


def _prefix(path: Path) -> Path:
    return path / CHECKPOINT_NAME if path.is_dir() else path


def _find_checkpoint(output_dir: Path) -> Path:
    folders = sorted(
        index.parent
        for index in Path().glob(f"*/{CHECKPOINT_NAME}.index")
        if index.parent.resolve() != output_dir.resolve()
        and (index.parent / CONFIG_NAME).is_file()
        and not index.parent.name.startswith(".")  # half written, if its process was killed
    )
    preferred = [folder for folder in folders if folder.name == PREFERRED_FOLDER]
    chosen = preferred or folders
    if not chosen:
        raise BertFtError(
            f"no checkpoint folder (such as {PREFERRED_FOLDER}/ with {CHECKPOINT_NAME}.index) in {Path.cwd()}; "
            "give --init_checkpoint"
        )
    if len(chosen) > 1:
        names = ", ".join(folder.name for folder in chosen)
        raise BertFtError(f"several checkpoint folders in {Path.cwd()} ({names}); choose with --init_checkpoint")
    logger.info("starting from %s", chosen[0] / CHECKPOINT_NAME)
    return chosen[0] / CHECKPOINT_NAME


def _casing(checkpoint: Path, metadata: ModelMetadata | None, asked: bool | None) -> bool:
    """Casing as asked, unless the checkpoint's own record or its folder's name contradicts it."""
    known: bool | None = None
    folder = checkpoint.resolve().parent.name
    if metadata is not None:
        known, reason = metadata.do_lower_case, f"{METADATA_FILE} beside the checkpoint"
    elif folder.startswith(("uncased_", "chinese_", "multilingual_")):
        known, reason = True, f"the folder's name {folder}"
    elif folder.startswith(("cased_", "multi_cased_")):
        known, reason = False, f"the folder's name {folder}"
    if known is None:
        return True if asked is None else asked
    if asked is not None and asked != known:
        raise BertFtError(
            f"--do_lower_case={str(asked).lower()}, but {reason} says {str(known).lower()}; leave the flag out"
        )
    if not known and asked is None:
        logger.info("text keeps its case: %s says so", reason)
    return known
