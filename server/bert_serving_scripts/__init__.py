"""Entry points of the server's commands.

They stand outside ``bert_serving``, which the packages of bert-as-service own too: where those are installed in the
same environment, it is luck whose modules are imported, so the commands refuse to run. What takes time to import is
imported when everything is ready for it.
"""

from __future__ import annotations

import sys

from bert_ft.startup import begin

_OTHER_OWNERS = ("bert-serving-server", "bert-serving-client", "bert-ft-client")


def start() -> None:
    """``bert-serving-start``"""
    begin()
    _refuse_other_owners()
    from bert_serving.server.commands.cli import start as command

    command()


def terminate() -> None:
    """``bert-serving-terminate``"""
    begin()
    _refuse_other_owners()
    from bert_serving.server.commands.cli import terminate as command

    command()


def reload() -> None:
    """``bert-serving-reload``"""
    begin()
    _refuse_other_owners()
    from bert_serving.server.commands.cli import reload as command

    command()


def benchmark() -> None:
    """``bert-serving-benchmark``"""
    begin()
    _refuse_other_owners()
    from bert_serving.benchmark.command import benchmark as command

    command()


def keygen() -> None:
    """``bert-serving-keygen``"""
    begin()
    _refuse_other_owners()
    from bert_serving.server.commands.keygen import keygen as command

    command()


def other_owners() -> list[str]:
    """Installed packages, with their versions, that bring modules of the same names."""
    from importlib import metadata

    found = []
    for name in _OTHER_OWNERS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def _refuse_other_owners() -> None:
    if others := other_owners():
        names = " ".join(other.split()[0] for other in others)
        sys.exit(
            f"error: {' and '.join(others)} in this environment brings modules of the same names as bert-ft; "
            f"run: pip uninstall -y {names}; then install bert-ft again"
        )
