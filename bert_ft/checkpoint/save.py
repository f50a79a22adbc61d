"""Write a model directory: Google's five files and bert_ft.json."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import CHECKPOINT_NAME, CONFIG_NAME, METADATA_FILE, VOCAB_NAME, ModelMetadata, sha256
from bert_ft.errors import BertFtError
from bert_ft.files.replace import replaced_directory


def save_model_directory(
    path: str | Path,
    weights: Mapping[str, Any],
    config: BertConfig,
    vocab_file: str | Path,
    metadata: ModelMetadata,
) -> None:
    """Replace the model in ``path`` as a whole, or leave it as it was.

    Raises:
        BertFtError: the disk is full or the place cannot be written.
    """
    from bert_ft.checkpoint.writer import write_checkpoint  # imports TensorFlow: seconds

    try:
        with replaced_directory(Path(path), last=METADATA_FILE) as staging:
            write_checkpoint(staging / CHECKPOINT_NAME, weights)
            config.save(staging / CONFIG_NAME)
            shutil.copyfile(vocab_file, staging / VOCAB_NAME)
            # the data file is left out: the index holds a checksum of each variable, which TensorFlow verifies
            small = (f"{CHECKPOINT_NAME}.index", f"{CHECKPOINT_NAME}.meta", CONFIG_NAME, VOCAB_NAME)
            checksums = {name: sha256(staging / name) for name in small}
            replace(metadata, checksums=checksums).save(staging / METADATA_FILE)
    except OSError as error:
        raise BertFtError(f"{path}: the model could not be written ({error.strerror or error})") from error
