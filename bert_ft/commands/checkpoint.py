"""``bert-ft export``, ``new-checkpoint`` and ``inspect``: model directories and Google's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bert_ft.checkpoint.config import ACTIVATIONS, BertConfig
from bert_ft.errors import BertFtError
from bert_ft.flags.legacy import LegacyCommand
from bert_ft.flags.paths import PATH, overwrite_option
from bert_ft.flags.ranges import SEED
from bert_ft.text.vocab import Vocab


@click.command("export", cls=LegacyCommand)
@click.argument("checkpoint", type=PATH)
@click.argument("output", type=PATH)
@click.option("--vocab_file", type=PATH, help="Vocabulary [default: vocab.txt beside the checkpoint].")
@click.option("--bert_config_file", type=PATH, help="Configuration [default: the one beside the checkpoint].")
@click.option("--labels", help="Class names in id order, parted by commas [default: 0, 1, …].")
@click.option("--do_lower_case", type=bool, is_flag=False, flag_value="true", default=True, help="Casing.")
@click.option("--max_seq_length", type=click.IntRange(min=1), help="Longest input of its training, in pieces.")
@overwrite_option
def export(checkpoint: Path, output: Path, labels: str | None, **values: Any) -> None:
    """Make a model directory OUTPUT from CHECKPOINT, a prefix such as DIR/model.ckpt-1234, without optimizer state."""
    from bert_ft.checkpoint.export import export_checkpoint

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


@click.command("new-checkpoint", cls=LegacyCommand)
@click.argument("output", type=PATH)
@click.option("--vocab_file", type=PATH, required=True, help="Vocabulary; its length is the model's vocab_size.")
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
@overwrite_option
def new_checkpoint(
    output: Path, vocab_file: Path, do_lower_case: bool, seed: int, overwrite: bool, **shape: Any
) -> None:
    """Write a model directory OUTPUT with random weights in Google's layout, for demos and tests."""
    from bert_ft.checkpoint.export import new_checkpoint as write

    shape["intermediate_size"] = shape["intermediate_size"] or 4 * shape["hidden_size"]
    config = BertConfig.from_dict({"vocab_size": len(Vocab.load(vocab_file)), **shape}, "new-checkpoint")
    write(output, config, vocab_file, do_lower_case, seed, overwrite)


@click.command("inspect", cls=LegacyCommand)
@click.argument("path", type=PATH, required=False)
@click.option("--machine", is_flag=True, help="Show the processor, the libraries, and what -precision auto takes.")
def inspect(path: Path | None, machine: bool) -> None:
    """Show what PATH (a model directory or a checkpoint prefix) holds: shape, head, labels, variables, size."""
    if machine:
        from bert_ft.hardware.machine import describe_machine

        click.echo(describe_machine())
    if path is not None:
        from bert_ft.checkpoint.describe import describe

        click.echo(describe(path))
    elif not machine:
        raise BertFtError("give the PATH of a model directory or checkpoint, or --machine")
