"""Memory of a server with all its processes. Needs Linux."""

from __future__ import annotations

from pathlib import Path

from bert_serving.benchmark.processes import children, memory_mb


def server_memory(port: int) -> float:
    """MB: the proportional set sizes of the process whose command line has the port and of all below it."""
    named = {pid for pid in _processes() if str(port) in _command(pid)}
    # forked workers have the command line of their parent, and their numbers may be the lower ones
    (root,) = named - {child for pid in named for child in children(pid)}
    found = memory_mb(root)
    assert found is not None, "this system does not say"
    return found


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []  # ended meanwhile
