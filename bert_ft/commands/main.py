"""``bert-ft`` and ``bert-ft-train``."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

from pathlib import Path
from typing import Any

import click

from bert_ft import __version__
from bert_ft.checkpoint.config import ACTIVATIONS, BertConfig
from bert_ft.commands.train import main as train_main
from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.files.lines import is_replaced
from bert_ft.flags.legacy import GivenPath, LegacyCommand, OneLineError, signal_status
from bert_ft.flags.ranges import COUNT, SEED
from bert_ft.logs import log_to_stderr
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.vocab import Vocab

__all__ = ["main", "train_main"]

_PATH = GivenPath(path_type=Path)
_FILE = GivenPath()  # or -
_overwrite = click.option(
    "--overwrite",
    type=bool,
    is_flag=False,
    flag_value="true",
    default=False,
    help="Replace a model that OUTPUT holds.",
)


@click.group()
@click.version_option(__version__, prog_name="bert-ft")
def main() -> None:
    """Fine-tune Google BERT checkpoints and handle model directories."""
    log_to_stderr()


@main.command("train", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Fine-tune: the same as bert-ft-train; with --task_name=ner the same as python -m bert_ft.run_ner."""
    train_main(arguments)


@main.command("export", cls=LegacyCommand)
@click.argument("checkpoint", type=_PATH)
@click.argument("output", type=_PATH)
@click.option("--vocab_file", type=_PATH, help="Vocabulary [default: vocab.txt beside the checkpoint].")
@click.option("--bert_config_file", type=_PATH, help="Configuration [default: the one beside the checkpoint].")
@click.option("--labels", help="Class names in id order, parted by commas [default: 0, 1, …].")
@click.option("--do_lower_case", type=bool, is_flag=False, flag_value="true", default=True, help="Casing.")
@click.option("--max_seq_length", type=click.IntRange(min=1), help="Longest input of its training, in pieces.")
@_overwrite
def export(checkpoint: Path, output: Path, labels: str | None, **values: Any) -> None:
    """Make a model directory OUTPUT from CHECKPOINT, a prefix such as DIR/model.ckpt-1234, without optimizer state."""
    from bert_ft.checkpoint.export import export_checkpoint  # imports TensorFlow: seconds

    names = [label.strip() for label in labels.split(",")] if labels else None
    export_checkpoint(
        checkpoint,
        output,
        values["vocab_file"],
        values["bert_config_file"],
        names,
        values["do_lower_case"],
        values["max_seq_length"],
        values["overwrite"],
    )


@main.command("new-checkpoint", cls=LegacyCommand)
@click.argument("output", type=_PATH)
@click.option("--vocab_file", type=_PATH, required=True, help="Vocabulary; its length is the model's vocab_size.")
@click.option("--num_hidden_layers", type=int, default=2, help="Encoder layers.")
@click.option("--hidden_size", type=int, default=128, help="Width of a token's vector.")
@click.option("--num_attention_heads", type=int, default=2, help="Attention heads; must divide hidden_size.")
@click.option("--intermediate_size", type=int, help="Width of the feed-forward layer [default: 4 x hidden_size].")
@click.option("--max_position_embeddings", type=int, default=512, help="Longest input in pieces.")
@click.option("--type_vocab_size", type=int, default=2, help="Token types.")
@click.option("--hidden_act", type=click.Choice(ACTIVATIONS), default="gelu", help="Activation; gelu is the erf form.")
@click.option("--hidden_dropout_prob", type=float, default=0.1, help="Dropout of embeddings and outputs in training.")
@click.option("--attention_probs_dropout_prob", type=float, default=0.1, help="Dropout of attention in training.")
@click.option("--initializer_range", type=float, default=0.02, help="Standard deviation of the random weights.")
@click.option("--do_lower_case", type=bool, is_flag=False, flag_value="true", default=True, help="Casing.")
@click.option("--seed", type=SEED, default=0, help="Decides the weights.")
@_overwrite
def new_checkpoint(
    output: Path, vocab_file: Path, do_lower_case: bool, seed: int, overwrite: bool, **shape: Any
) -> None:
    """Write a model directory OUTPUT with random weights in Google's layout, for demos and tests."""
    from bert_ft.checkpoint.export import new_checkpoint as write  # imports TensorFlow: seconds

    shape["intermediate_size"] = shape["intermediate_size"] or 4 * shape["hidden_size"]
    config = BertConfig.from_dict({"vocab_size": len(Vocab.load(vocab_file)), **shape}, "new-checkpoint")
    write(output, config, vocab_file, do_lower_case, seed, overwrite)


@main.command("predict", cls=LegacyCommand)
@click.option("--model_dir", type=_PATH, required=True, help="Model directory with a tagging or classification head.")
@click.option("--input", "source", type=_FILE, required=True, help="Texts, one a line, UTF-8; - is standard input.")
@click.option(
    "--output", "target", type=_FILE, required=True, help="One JSON object a line, in order; - is standard output."
)
@click.option("--batch_size", type=COUNT, default=64, help="Texts that go through the model at once.")
@click.option(
    "--max_seq_length",
    type=click.IntRange(min=3),
    help="Longest input in pieces [default: that of the training for tags, the model's positions for classes].",
)
def predict(model_dir: Path, source: str, target: str, batch_size: int, max_seq_length: int | None) -> None:
    """Find the entities of each line, or its class.

    A tagging head gives {"text", "entities": [{"type", "text", "start", "end", "score"}]}; a text of any length is
    read in overlapping windows. A classification head gives {"text", "label", "score", "scores"}; ' ||| ' parts a
    pair, and "truncated" stands where a text was cut. A line without words gets no entities, or an "error", so that
    line numbers agree. The output takes its name when it is complete.
    """
    from bert_ft.inference.predict import predict as run  # imports TensorFlow: seconds

    try:
        run(model_dir, source, target, batch_size, max_seq_length)
    except KeyboardInterrupt as interrupt:
        kept = f"; {target} is as it was before" if is_replaced(target) else ""
        raise OneLineError(f"interrupted{kept}", signal_status(interrupt)) from None


@main.command("evaluate-sts", cls=LegacyCommand)
@click.option("--model_dir", type=_PATH, required=True, help="Model directory.")
@click.option("--file", "source", type=_PATH, required=True, help="Pairs with a score: a table or JSON.")
@click.option(
    "--output",
    type=_FILE,
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
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", help="Number format of weights and products."
)
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
    from bert_ft.tasks.similarity.evaluate import SentenceEncoder, evaluate_file, report  # imports TensorFlow: seconds

    columns = {name: values.pop(name) for name in ("text_column", "text_b_column", "score_column")}
    delimiter = values.pop("delimiter")
    values["pooling_strategy"] = PoolingStrategy[values["pooling_strategy"]]
    report(evaluate_file(source, SentenceEncoder(**values), BadRows.parse(on_bad_row), columns, delimiter), output)


@main.command("import-hf", cls=LegacyCommand)
@click.argument("folder", type=_PATH, metavar="DIR")
@click.argument("output", type=_PATH)
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
@_overwrite
def import_hf(folder: Path, output: Path, do_lower_case: bool | None, encoder_only: bool, overwrite: bool) -> None:
    """Make a model directory OUTPUT from DIR, a Hugging Face BERT: safetensors, config.json, vocab.txt."""
    from bert_ft.checkpoint.huggingface.convert import import_model  # imports TensorFlow: seconds

    import_model(folder, output, do_lower_case, encoder_only, overwrite)


@main.command("export-hf", cls=LegacyCommand)
@click.argument("model_dir", type=_PATH, metavar="DIR")
@click.argument("output", type=_PATH)
@_overwrite
def export_hf(model_dir: Path, output: Path, overwrite: bool) -> None:
    """Write the model directory DIR as a Hugging Face folder OUTPUT: safetensors, config.json, vocab.txt."""
    from bert_ft.checkpoint.huggingface.convert import export_model  # imports TensorFlow: seconds

    export_model(model_dir, output, overwrite)


@main.command("inspect", cls=LegacyCommand)
@click.argument("path", type=_PATH, required=False)
@click.option("--machine", is_flag=True, help="Show the processor, the libraries, and what -precision auto takes.")
def inspect(path: Path | None, machine: bool) -> None:
    """Show what PATH (a model directory or a checkpoint prefix) holds: shape, head, labels, variables, size."""
    if machine:
        from bert_ft.hardware.machine import describe_machine

        click.echo(describe_machine())
    if path is not None:
        from bert_ft.checkpoint.export import describe  # imports TensorFlow: seconds

        click.echo(describe(path))
    elif not machine:
        raise BertFtError("give the PATH of a model directory or checkpoint, or --machine")


if __name__ == "__main__":
    main()
