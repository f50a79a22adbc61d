"""The commands bert-serving-start and bert-serving-terminate."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
from bert_serving.server.options import PORT, POSITIVE, ServerOptions, server_options

from bert_ft import __version__
from bert_ft.errors import BertFtError
from bert_ft.flags.legacy import AddedOption, LegacyCommand

_version_option = click.version_option(
    __version__, "-version", message="%(prog)s %(version)s (protocol of 1.10.0)", help="print the version"
)


def _print_values(values: dict[str, Any]) -> None:
    shown = {name: value for name, value in values.items() if not name.startswith("engine")}
    click.echo(f"{'ARG':>23}   VALUE\n{'_' * 50}")
    for name, value in sorted(shown.items()):
        if isinstance(value, tuple):
            value = list(value)
        elif name == "pooling_strategy":
            value = value.name
        elif name == "max_seq_len" and value == 0:
            value = "the model's maximum"
        click.echo(f"{name:>23} = {value}")


@click.command("bert-serving-start", cls=LegacyCommand, params=[*server_options()])
@_version_option
def start(**values: Any) -> None:
    """Serve the vectors of a BERT model to BertClient."""
    from bert_serving.server.server import run_server

    options = ServerOptions(**values)
    try:
        click.echo(f"usage: {' '.join(sys.argv)}")
        _print_values(values)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered would fail again at the end
        raise BertFtError(f"standard output cannot be written: {error.strerror}; redirect it") from None
    run_server(options)


start.ends_at_once = True


def _options_of_a_command(timeout: int, meaning: str) -> list[click.Parameter]:
    """Those of a command to a running server: where it is, how long to wait, keys."""
    return [
        click.Option(["-ip"], default="localhost", metavar="ADDRESS", help="the server's machine"),
        click.Option(
            ["port", "-port", "-port_in", "-port_data"], type=PORT, required=True, metavar="PORT", help="its -port"
        ),
        click.Option(["-timeout"], type=POSITIVE, default=timeout, metavar="MILLISECONDS", help=meaning),
        AddedOption(
            ["-port_out"], type=PORT, metavar="PORT", show_default="-port + 1, then 5556", help="its -port_out"
        ),
        AddedOption(["-server_key"], metavar="FILE|KEY", help="for a server with keys: its public key"),
        AddedOption(["-client_keys"], metavar="FILE", help="for a server with keys: NAME.key_secret of a client of it"),
    ]


@click.command(
    "bert-serving-terminate", cls=LegacyCommand, params=_options_of_a_command(5000, "longest wait for its end")
)
@_version_option
def terminate(**where: Any) -> None:
    """Stop a server; the exit status is 0 only if one was there and has stopped."""
    from bert_serving.server.commands.remote import RunningServer

    RunningServer(**where).terminate()
    click.echo(f"the server at {where['ip']}:{where['port']} has stopped")


@click.command(
    "bert-serving-reload", cls=LegacyCommand, params=_options_of_a_command(600_000, "longest wait for the new model")
)
@_version_option
def reload(**where: Any) -> None:
    """Let a server serve what lies in its model directory now.

    The new model is loaded beside the old one. When it is ready, new requests get it, and the old one goes when its
    last request is answered. If it cannot be served the old one goes on. The exit status is 0 if the server serves what
    lies there.
    """
    from bert_serving.server.commands.remote import RunningServer

    click.echo(RunningServer(**where).reload())
