"""Entry points of ``bert-ft`` and ``bert-ft-train``: they import the commands when everything is ready for it."""

from __future__ import annotations

from bert_ft.startup import begin


def main() -> None:
    """``bert-ft``"""
    begin()
    from bert_ft.commands.main import main as command

    command()


def train() -> None:
    """``bert-ft-train``"""
    begin()
    from bert_ft.commands.train import main as command

    command()
