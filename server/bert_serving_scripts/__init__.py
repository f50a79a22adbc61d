"""Entry points of the server's commands.

They stand outside ``bert_serving``, which the packages of bert-as-service own too: where those are installed in the
same environment, it is luck whose modules are imported, so the commands refuse to run. What takes time to import is
imported when everything is ready for it.
"""

from __future__ import annotations

import sys

from bert_ft.startup import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_OTHER_OWNERS = ("bert-serving-server", "bert-serving-client", "bert-ft-client")


def _entry(module: str, name: str) -> Callable[[], None]:
    def run() -> None:
        begin()
        from importlib import import_module

        if others := other_owners():
            names = " ".join(other.split()[0] for other in others)
            sys.exit(
                f"error: {' and '.join(others)} in this environment brings modules of the same names as bert-ft; "
                f"run: pip uninstall -y {names}; then install bert-ft again"
            )
        getattr(import_module(module), name)()

    return run


start = _entry("bert_serving.server.commands.cli", "start")
terminate = _entry("bert_serving.server.commands.cli", "terminate")
reload = _entry("bert_serving.server.commands.cli", "reload")
benchmark = _entry("bert_serving.benchmark.command", "benchmark")
keygen = _entry("bert_serving.server.commands.keygen", "keygen")


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
