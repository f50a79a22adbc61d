"""``bert-ft predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bert_ft.data.columns import column_flag
from bert_ft.files.lines import is_replaced
from bert_ft.flags.engine import engine_options
from bert_ft.flags.legacy import LegacyCommand, OneLineError, signal_status
from bert_ft.flags.paths import FILE, PATH
from bert_ft.flags.ranges import COUNT


@click.command("predict", cls=LegacyCommand)
@click.option("--model_dir", type=PATH, required=True, help="Model directory with a tagging or classification head.")
@click.option("--input", "source", type=FILE, required=True, help="Texts, one a line, or a table; - is standard input.")
@click.option(
    "--output", "target", type=FILE, required=True, help="One JSON object a line, in order; - is standard output."
)
@click.option("--text_column", type=column_flag, help="Of a table: texts, by name or number from 0 [default: found].")
@click.option("--text_b_column", type=column_flag, help="Of a table: second texts of pairs, likewise.")
@engine_options
@click.option("--batch_size", type=COUNT, default=64, help="Texts that go through the model at once.")
@click.option(
    "--max_seq_length",
    type=click.IntRange(min=3),
    help="Longest input in pieces [default: that of the training for tags, the model's positions for classes].",
)
def predict(model_dir: Path, source: str, target: str, **values: Any) -> None:
    """Find the entities of each line, or its class.

    A tagging head gives {"text", "entities": [{"type", "text", "start", "end", "score"}]}; a text of any length is
    read in overlapping windows. A classification head gives {"text", "label", "score", "scores"}; ' ||| ' parts a
    pair, and "truncated" stands where a text was cut. A line without words gets no entities, or an "error", so that
    line numbers agree. The output takes its name when it is complete.
    """
    from bert_ft.inference.predict import predict as run  # imports the engines' libraries: seconds

    try:
        run(model_dir, source, target, **values)
    except KeyboardInterrupt as interrupt:
        kept = f"; {target} is as it was before" if is_replaced(target) else ""
        raise OneLineError(f"interrupted{kept}", signal_status(interrupt)) from None
