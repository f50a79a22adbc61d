"""The command bert-serving-keygen: a pair of CURVE keys in the files of zmq.auth."""

from __future__ import annotations

import os
from pathlib import Path

import click
import zmq

from bert_ft.errors import BertFtError
from bert_ft.flags.legacy import LegacyCommand

_PUBLIC = "# Public CURVE key: give it to those who connect to, or admit, its owner.\n"
_SECRET = "# Secret CURVE key: for its owner alone.\n"


def write_keys(name: str | Path) -> tuple[Path, Path]:
    """Write NAME.key and NAME.key_secret, the second readable by its owner alone.

    Raises:
        BertFtError: one of them is there already, or cannot be written; then neither is left behind.
    """
    if not Path(name).name:
        raise BertFtError(f"{name}: give a file name such as keys/server")
    paths = Path(f"{name}.key"), Path(f"{name}.key_secret")
    for path in paths:
        if path.exists() or path.is_symlink():
            raise BertFtError(f"{path}: is there already; keys are not overwritten, choose another NAME")
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    body = f'metadata\ncurve\n    public-key = "{public}"\n'
    written: list[Path] = []
    try:
        for path, text, mode in (
            (paths[1], f'{_SECRET}{body}    secret-key = "{secret}"\n', 0o600),
            (paths[0], f"{_PUBLIC}{body}", 0o644),
        ):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise BertFtError(f"{path}: cannot be written: {error.strerror}") from None
    return paths


@click.command("bert-serving-keygen", cls=LegacyCommand)
@click.argument("name")
def keygen(name: str) -> None:
    """Make a pair of CURVE keys: NAME.key (public) and NAME.key_secret (for its owner alone)."""
    public, secret = write_keys(name)
    click.echo(f"{public}: public key, to be given to the other side\n{secret}: secret key, mode 0600")
