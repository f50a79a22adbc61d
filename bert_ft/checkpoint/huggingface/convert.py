"""Hugging Face BERT folders (safetensors, config.json, vocab.txt) to model directories and back, bit for bit."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save_file

from bert_ft.checkpoint.directory import (
    VOCAB_NAME,
    ModelDirectory,
    ModelMetadata,
    load_fitting_vocab,
    open_model_directory,
)
from bert_ft.checkpoint.head import CRF_TRANSITIONS, TAGGING, HeadKind, head_kind
from bert_ft.checkpoint.huggingface.config import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    check_bio,
    classifier_kind,
    read_casing,
    read_config,
    read_json,
    read_labels,
    read_max_seq_length,
    tokenizer_config,
    write_config,
    write_json,
)
from bert_ft.checkpoint.huggingface.names import prefixed_tensor_name, tensor_name
from bert_ft.checkpoint.huggingface.tensors import WEIGHTS_FILE, TensorReader, turned
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.overwrite import refuse_model, refuse_source
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes, is_training_state, pooler_shapes
from bert_ft.errors import BertFtError
from bert_ft.files.replace import replaced_directory

logger = logging.getLogger(__name__)

_POOLER_SEED = 0
_NAMED = 8


def import_model(
    folder: Path,
    output: Path,
    do_lower_case: bool | None = None,
    encoder_only: bool = False,
    overwrite: bool = False,
) -> None:
    """Make a model directory from a folder that holds a Hugging Face BERT.

    float32 weights keep every bit; float16 and bfloat16 are widened, which loses nothing. A folder without pooler
    (a tagger, some sentence encoders) gets one of random weights, for a model directory needs one.

    Args:
        folder: has config.json, vocab.txt, and model.safetensors or its parts with their index.
        do_lower_case: casing; None takes that of tokenizer_config.json.
        encoder_only: leave a classifier out.
        overwrite: replace a model that ``output`` holds.

    Raises:
        BertFtError: a file is missing or broken, the model is no BERT, or a tensor is missing, of another shape
            or of a type that float32 cannot hold; ``output`` holds a model.
    """
    refuse_source(output, folder)
    refuse_model(output, overwrite)
    source = folder / CONFIG_FILE
    raw = read_json(source)
    config = read_config(raw, str(source))
    vocab_file = folder / VOCAB_NAME
    if not vocab_file.is_file():
        raise BertFtError(f"{vocab_file}: no such file; the folder needs the vocab.txt of its BertTokenizer")
    load_fitting_vocab(vocab_file, config)
    tokenizer = read_json(folder / TOKENIZER_FILE) if (folder / TOKENIZER_FILE).is_file() else {}
    lower = read_casing(folder, tokenizer, do_lower_case)
    kind = None if encoder_only else classifier_kind(raw, str(source))
    with TensorReader(folder) as tensors:
        head = _head(kind, raw, tensors, str(source))
        pooler = pooler_shapes(config)
        new = {} if any(tensor_name(name) in tensors.shapes for name in pooler) else pooler
        shapes = encoder_shapes(config) | (head.shapes(config) if head else {})
        wanted = {name: shape for name, shape in shapes.items() if name not in new}
        weights = {name: tensors.read(name, shape) for name, shape in wanted.items()}
        _say_left_out("tensors", tensors.others(wanted))
    if new:
        logger.warning("%s: has no pooler; its weights are random (seed %d)", folder, _POOLER_SEED)
        weights |= initialize(new, config.initializer_range, _POOLER_SEED)
    metadata = ModelMetadata(
        task="imported" if kind else "encoder",
        head=kind,
        labels=head.labels if head else [],
        max_seq_length=read_max_seq_length(tokenizer, config),
        do_lower_case=lower,
        head_options=head.options if head else {},
    )
    save_model_directory(output, weights, config, vocab_file, metadata)
    print(f"{output}: {len(weights)} variables, {kind or 'no'} head, {'lower-cased' if lower else 'case kept'}")


def export_model(model_dir: Path, output: Path, overwrite: bool = False) -> None:
    """Write a model directory as a folder that Hugging Face's transformers can load.

    A CRF's transitions go along as ``crf.transitions``, which only this project reads.

    Args:
        output: gets config.json, model.safetensors, vocab.txt and tokenizer_config.json; replaced as a whole.
        overwrite: replace a model that ``output`` holds.

    Raises:
        BertFtError: the model directory is incomplete or broken, ``output`` holds a model, or cannot be written.
    """
    refuse_source(output, model_dir)
    refuse_model(output, overwrite)
    opened = open_model_directory(model_dir)
    load_fitting_vocab(opened.vocab_file, opened.config)
    reader = CheckpointReader(opened.checkpoint)
    head = head_kind(opened.metadata, reader.shapes)
    metadata = opened.metadata or _guessed_metadata(opened, head)
    shapes = encoder_shapes(opened.config) | (head.shapes(opened.config) if head else {})
    weights = reader.load(shapes)
    _say_left_out("variables", [name for name in reader.shapes if name not in shapes and not is_training_state(name)])
    rename = prefixed_tensor_name if head else tensor_name
    tensors = {rename(name): turned(name, value) for name, value in weights.items()}
    config = write_config(opened.config, metadata)
    try:
        with replaced_directory(output, last=CONFIG_FILE) as staging:
            save_file(tensors, staging / WEIGHTS_FILE, metadata={"format": "pt"})
            write_json(staging / CONFIG_FILE, config)
            write_json(staging / TOKENIZER_FILE, tokenizer_config(metadata))
            shutil.copyfile(opened.vocab_file, staging / VOCAB_NAME)
            shutil.copymode(staging / VOCAB_NAME, staging / WEIGHTS_FILE)  # safetensors writes for the owner alone
    except (OSError, SafetensorError) as error:
        raise BertFtError(f"{output}: the model could not be written ({error})") from error
    print(f"{output}: {len(tensors)} tensors, {config['architectures'][0]}")


def _head(kind: str | None, raw: dict[str, Any], tensors: TensorReader, source: str) -> HeadKind | None:
    if kind is None:
        return None
    stored = tensors.shapes.get(tensor_name("output_weights"))
    if not stored:
        raise BertFtError(
            f"{source}: says {raw['architectures'][0]}, but there is no tensor classifier.weight; "
            "import with --encoder_only"
        )
    labels = read_labels(raw, stored[0], source)
    if kind == TAGGING:
        check_bio(labels, source)
    return HeadKind(kind, labels, crf=kind == TAGGING and tensor_name(CRF_TRANSITIONS) in tensors.shapes)


def _guessed_metadata(opened: ModelDirectory, head: HeadKind | None) -> ModelMetadata:
    logger.warning("%s: has no bert_ft.json; its text is taken to be lower-cased", opened.path)
    length = opened.config.max_position_embeddings
    name, labels = (head.name, head.labels) if head else (None, [])
    return ModelMetadata("exported", name, labels, length, do_lower_case=True)


def _say_left_out(kind: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        logger.warning("%d %s left out: %s%s", len(names), kind, ", ".join(names[:_NAMED]), more)
