"""Model directories from a checkpoint of Google's scripts, or from nothing."""

from __future__ import annotations

from pathlib import Path

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import CONFIG_NAME, VOCAB_NAME, ModelMetadata, load_fitting_vocab
from bert_ft.checkpoint.head import CLASSIFICATION
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.overwrite import refuse_model, refuse_source
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes, is_training_state
from bert_ft.errors import BertFtError


def export_checkpoint(
    checkpoint: Path,
    output: Path,
    vocab_file: Path | None,
    config_file: Path | None,
    labels: list[str] | None,
    do_lower_case: bool,
    max_seq_length: int | None,
    overwrite: bool = False,
) -> None:
    """Make a model directory from a checkpoint that Google's scripts wrote; optimizer state is left out.

    Args:
        checkpoint: prefix such as ``DIR/model.ckpt-1234``.
        vocab_file, config_file: None takes the files beside the checkpoint.
        labels: class names in id order for a checkpoint with a classification head; None numbers them from 0.
        max_seq_length: what the model was trained with; None takes its number of positions.
        overwrite: replace a model that ``output`` holds.

    Raises:
        BertFtError: ``output`` holds a model, or the checkpoint itself; a file is missing or does not fit the others.
    """
    refuse_source(output, checkpoint)
    refuse_model(output, overwrite)
    config = BertConfig.load(config_file or checkpoint.parent / CONFIG_NAME)
    if max_seq_length is not None and max_seq_length > config.max_position_embeddings:
        raise BertFtError(
            f"--max_seq_length={max_seq_length} is more than the model's {config.max_position_embeddings} positions"
        )
    vocab_path = vocab_file or checkpoint.parent / VOCAB_NAME
    load_fitting_vocab(vocab_path, config)
    reader = CheckpointReader(checkpoint)
    reader.check(encoder_shapes(config))
    wanted = {name: shape for name, shape in reader.shapes.items() if not is_training_state(name)}
    labels = _labels(reader, labels)
    metadata = ModelMetadata(
        task="exported" if labels else "encoder",
        head=CLASSIFICATION if labels else None,
        labels=labels,
        max_seq_length=max_seq_length or config.max_position_embeddings,
        do_lower_case=do_lower_case,
    )
    save_model_directory(output, reader.load(wanted), config, vocab_path, metadata)
    left_out = len(reader.shapes) - len(wanted)
    print(f"{output}: {len(wanted)} variables, {left_out} of the optimizer left out")


def new_checkpoint(
    output: Path, config: BertConfig, vocab_file: Path, do_lower_case: bool, seed: int, overwrite: bool = False
) -> None:
    """Write a model directory with random weights.

    Raises:
        BertFtError: ``output`` holds a model and ``overwrite`` is false; the place cannot be written.
    """
    refuse_model(output, overwrite)
    metadata = ModelMetadata(
        task="encoder",
        head=None,
        labels=[],
        max_seq_length=config.max_position_embeddings,
        do_lower_case=do_lower_case,
    )
    weights = initialize(encoder_shapes(config), config.initializer_range, seed)
    save_model_directory(output, weights, config, vocab_file, metadata)
    count = sum(value.size for value in weights.values())
    print(f"{output}: {len(weights)} variables, {count:,} random weights (seed {seed})")


def _labels(reader: CheckpointReader, given: list[str] | None) -> list[str]:
    stored = reader.shapes.get("output_weights")
    if stored is None:
        if given:
            raise BertFtError(f"{reader.prefix}: --labels given, but the checkpoint has no head (output_weights)")
        return []
    if given and len(given) != stored[0]:
        raise BertFtError(f"{reader.prefix}: {len(given)} labels given, but the head has {stored[0]}")
    return given or [str(index) for index in range(stored[0])]
