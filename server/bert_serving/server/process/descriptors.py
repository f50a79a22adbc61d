"""Descriptors are few, and every connection takes some: what is kept aside, and what each door may take."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

MAX = 65536
"""What the server asks the system for; the usual limit of 1024 is made for programs that use select()."""
_OF_THE_SERVER = 64
_OF_A_WORKER = 8
_LEAST_OF_A_DOOR = 16
_SPARE = 16


def raise_limit() -> None:
    """Allow as many descriptors as the system lets this process have, up to :data:`MAX`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX if hard == resource.RLIM_INFINITY else min(hard, MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_of_a_frontend(workers: int, frontends: int) -> int:
    """How many connections each of the server's ports may have, so that all together leave some descriptors.

    Args:
        frontends: ports that take connections.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limit = MAX if soft == resource.RLIM_INFINITY else soft
    return max(_LEAST_OF_A_DOOR, (limit - _OF_THE_SERVER - _OF_A_WORKER * workers) // frontends)


def open_descriptors() -> list[int]:
    """Those of this process, on Linux; also when there is none left to list them with."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        found = []
        for descriptor in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
            with contextlib.suppress(OSError):
                os.fstat(descriptor)
                found.append(descriptor)
        return found


class Spare:
    """Descriptors held open for nothing, so that there are some when all others are taken."""

    def __init__(self, count: int = _SPARE) -> None:
        self._count = count
        self._held: list[int] = []
        self._fill()

    @contextlib.contextmanager
    def lend(self) -> Iterator[None]:
        """Let go of them for what is done within."""
        self.close()
        try:
            yield
        finally:
            self._fill()

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []

    def _fill(self) -> None:
        with contextlib.suppress(OSError):  # there are none now; the next time there may be
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))
