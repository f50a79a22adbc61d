"""What a model directory or a checkpoint holds, as ``bert-ft inspect`` shows it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import CONFIG_NAME, METADATA_FILE, VOCAB_NAME, ModelMetadata, load_fitting_vocab
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import Shapes, encoder_shapes, is_training_state
from bert_ft.shown import first_of


def describe(path: Path) -> str:
    """What a model directory or checkpoint prefix holds, as lines of text.

    Raises:
        BertFtError: the checkpoint cannot be read, or does not fit its configuration or vocabulary.
    """
    prefix = path / "bert_model.ckpt" if path.is_dir() else path
    folder = prefix.parent
    reader = CheckpointReader(prefix)
    lines = [f"checkpoint  {prefix}"]
    if (folder / CONFIG_NAME).is_file():
        config = BertConfig.load(folder / CONFIG_NAME)
        reader.check(encoder_shapes(config))
        lines.append(
            f"encoder     {config.num_hidden_layers} layers, hidden {config.hidden_size}, "
            f"{config.num_attention_heads} heads, {config.max_position_embeddings} positions, "
            f"{config.hidden_act}"
        )
        if (folder / VOCAB_NAME).is_file():
            vocab = load_fitting_vocab(folder / VOCAB_NAME, config)
            lines.append(f"vocabulary  {len(vocab)} entries")
    lines += _metadata_lines(folder / METADATA_FILE, reader.shapes)
    width = max(len(name) for name in reader.shapes)
    lines += ["", *(f"{name:<{width}}  {list(shape)}" for name, shape in reader.shapes.items()), ""]
    kept = {name: shape for name, shape in reader.shapes.items() if not is_training_state(name)}
    lines.append(
        f"{len(kept)} variables, {_count(kept):,} weights, {_count(kept) * 4 / 2**20:,.1f} MiB as float32; "
        f"{len(reader.shapes) - len(kept)} variables of the optimizer"
    )
    return "\n".join(lines)


def _metadata_lines(path: Path, shapes: Shapes) -> list[str]:
    if not path.is_file():
        stored = shapes.get("output_weights")
        return [f"head        output_weights {list(stored)}" if stored else "head        none"]
    metadata = ModelMetadata.load(path)
    head = f"{metadata.head}, {len(metadata.labels)} labels: {first_of(metadata.labels)}"
    lines = [
        f"task        {metadata.task}",
        f"head        {head if metadata.head else 'none'}",
        f"input       up to {metadata.max_seq_length} pieces, "
        f"{'lower-cased' if metadata.do_lower_case else 'case kept'}",
    ]
    scores: dict[str, Any] = metadata.metrics.get("dev") or {}
    shown = [f"{key} {value:.4f}" for key, value in scores.items() if isinstance(value, float)]
    return lines + ([f"dev         {', '.join(shown)} (step {metadata.metrics.get('step')})"] if shown else [])


def _count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
