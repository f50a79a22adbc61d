"""``bert-ft``: the group, and the table of its commands."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

import click

from bert_ft import __version__
from bert_ft.commands.checkpoint import export, inspect, new_checkpoint
from bert_ft.commands.evaluate_sts import evaluate_sts
from bert_ft.commands.huggingface import export_hf, import_hf
from bert_ft.commands.predict import predict
from bert_ft.commands.train import main as train_main
from bert_ft.logs import log_to_stderr


@click.command("train", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Fine-tune: the same as bert-ft-train; with --task_name=ner the same as python -m bert_ft.run_ner."""
    train_main(arguments)


@click.group(commands=[train, export, new_checkpoint, inspect, import_hf, export_hf, predict, evaluate_sts])
@click.version_option(__version__, prog_name="bert-ft")
def main() -> None:
    """Fine-tune Google BERT checkpoints and handle model directories."""
    log_to_stderr()


if __name__ == "__main__":
    main()
