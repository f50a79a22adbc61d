"""Telling the end of a terminal from a SIGHUP that somebody sent."""

from __future__ import annotations

import os


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
