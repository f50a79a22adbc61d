"""``bert-ft import-hf`` and ``export-hf``."""

from __future__ import annotations

from pathlib import Path

import click

from bert_ft.flags.legacy import LegacyCommand
from bert_ft.flags.paths import PATH, overwrite_option


@click.command("import-hf", cls=LegacyCommand)
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("output", type=PATH)
@click.option(
    "--do_lower_case",
    type=bool,
    is_flag=False,
    flag_value="true",
    help="Casing [default: that of tokenizer_config.json].",
)
@click.option(
    "--encoder_only",
    type=bool,
    is_flag=False,
    flag_value="true",
    default=False,
    help="Leave the classifier of a BertForSequenceClassification or BertForTokenClassification out.",
)
@overwrite_option
def import_hf(folder: Path, output: Path, do_lower_case: bool | None, encoder_only: bool, overwrite: bool) -> None:
    """Make a model directory OUTPUT from DIR, a Hugging Face BERT: safetensors, config.json, vocab.txt."""
    from bert_ft.checkpoint.huggingface.convert import import_model  # imports TensorFlow: seconds

    import_model(folder, output, do_lower_case, encoder_only, overwrite)


@click.command("export-hf", cls=LegacyCommand)
@click.argument("model_dir", type=PATH, metavar="DIR")
@click.argument("output", type=PATH)
@overwrite_option
def export_hf(model_dir: Path, output: Path, overwrite: bool) -> None:
    """Write the model directory DIR as a Hugging Face folder OUTPUT: safetensors, config.json, vocab.txt."""
    from bert_ft.checkpoint.huggingface.convert import export_model  # imports TensorFlow: seconds

    export_model(model_dir, output, overwrite)
