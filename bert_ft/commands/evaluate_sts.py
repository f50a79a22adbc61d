"""``bert-ft evaluate-sts``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bert_ft.data.rows import BadRows
from bert_ft.flags.engine import engine_options
from bert_ft.flags.legacy import LegacyCommand
from bert_ft.flags.paths import FILE, PATH
from bert_ft.flags.ranges import COUNT
from bert_ft.pooling_strategy import PoolingStrategy


@click.command("evaluate-sts", cls=LegacyCommand)
@click.option("--model_dir", type=PATH, required=True, help="Model directory.")
@click.option("--file", "source", type=PATH, required=True, help="Pairs with a score: a table, or JSON.")
@click.option(
    "--output",
    type=FILE,
    help="Write the result as JSON to this file; - is standard output, instead of the table.",
)
@click.option(
    "--pooling_strategy",
    type=click.Choice(list(PoolingStrategy.__members__)),
    metavar="NAME",
    default="REDUCE_MEAN",
    help="How token vectors become one: the server's names, but for NONE, CLASSIFICATION and REGRESSION.",
)
@click.option("--pooling_layer", type=int, multiple=True, default=(-2,), help="Encoder layers, concatenated.")
@click.option(
    "--mask_cls_sep", type=bool, is_flag=False, flag_value="true", default=False, help="Give [CLS] and [SEP] mask 0."
)
@engine_options
@click.option(
    "--max_seq_length", type=click.IntRange(min=3), help="Longest sentence in pieces [default: the model's positions]."
)
@click.option(
    "--do_lower_case",
    type=bool,
    is_flag=False,
    flag_value="true",
    help="Casing [default: what bert_ft.json says, else true].",
)
@click.option("--batch_size", type=COUNT, default=64, help="Sentences that go through the model at once.")
@click.option("--text_column", help="First sentence: a column's name or number from 0 [default: found].")
@click.option("--text_b_column", help="Second sentence, likewise.")
@click.option("--score_column", help="Score, likewise.")
@click.option("--delimiter", help="What parts columns [default: found: tab, ||, comma or semicolon].")
@click.option(
    "--on_bad_row",
    type=click.Choice(["error", "skip"]),
    default="error",
    help="What to do about a row that cannot be used: stop, or leave it out and say so.",
)
def evaluate_sts(source: Path, output: str | None, on_bad_row: str, **values: Any) -> None:
    """Pearson's and Spearman's correlation of the cosine of two sentences' vectors with their score.

    Columns are found by names in the first line (sentence1, sentence2, score and the like); without such a line they
    are the last three.
    """
    from bert_ft.tasks.similarity.evaluate import evaluate_file, report  # imports the engines' libraries: seconds

    columns = {name: values.pop(name) for name in ("text_column", "text_b_column", "score_column")}
    delimiter = values.pop("delimiter")
    values["pooling_strategy"] = PoolingStrategy[values["pooling_strategy"]]
    report(evaluate_file(source, values, BadRows.parse(on_bad_row), columns, delimiter), output)
