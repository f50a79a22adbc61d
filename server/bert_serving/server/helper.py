"""The parsers that scripts written for bert-as-service call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import click
from bert_serving.server.commands.cli import start, terminate
from bert_serving.server.options import ServerOptions

__all__ = ["get_args_parser", "get_shutdown_parser"]


class _Parser:
    """Has argparse's ``parse_args`` and nothing else of it."""

    def __init__(self, command: click.Command) -> None:
        self._command = command

    def parse_args(self, args: Sequence[str] | None = None) -> Any:
        """The parsed flags as attributes; like argparse, prints one line and exits with 2 on a wrong command line."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            values = self._command.make_context(self._command.name, arguments).params
        except click.exceptions.Exit as exit_:
            sys.exit(exit_.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        return ServerOptions(**values) if self._command is start else SimpleNamespace(**values)


def get_args_parser() -> _Parser:
    """The parser of bert-serving-start; its result is what ``BertServer`` takes."""
    return _Parser(start)


def get_shutdown_parser() -> _Parser:
    """The parser of bert-serving-terminate; its result is what ``BertServer.shutdown`` takes."""
    return _Parser(terminate)
