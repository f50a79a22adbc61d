"""What every command does first, before the imports that take the time: see to Ctrl-C and to the standard streams."""

from __future__ import annotations

import atexit
import codecs
import os
import sys

# the part of `signal` that is there at once: making its enumerations takes longer than all of this module
from _signal import SIG_IGN, SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]
from io import TextIOWrapper

_ESCAPING = "bert_ft_escaping"


def begin() -> None:
    """Make Ctrl-C end the process with one line, but for `interruptible`, and the standard streams take every text."""
    if getsignal(SIGINT) is default_int_handler:  # not where it is ignored
        signal(SIGINT, _end)
        atexit.register(signal, SIGINT, SIG_IGN)  # all is done then, and Python has its own end
    _open_closed()
    codecs.register_error(_ESCAPING, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # click writes UTF-8 where it finds ASCII, with question marks for what is left
            encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else None
            stream.reconfigure(encoding=encoding, errors=_ESCAPING)


class interruptible:  # noqa: N801  # contextlib would be one more import before the handler is set
    """Ctrl-C raises KeyboardInterrupt in this block: there is something to put in order."""

    def __enter__(self) -> None:
        self._ends = getsignal(SIGINT) is _end
        if self._ends:
            signal(SIGINT, default_int_handler)

    def __exit__(self, *exception: object) -> None:
        from collections import namedtuple

        # if the last text that was run as code was interrupted (a named tuple's in an import), Python ends by SIGINT
        # and not by our status; so let it run another
        namedtuple("_", ())
        if self._ends:
            signal(SIGINT, _end)


def _end(number: int, frame: object) -> None:
    """At once: a KeyboardInterrupt in the middle of an import shows a traceback, or the import swallows it."""
    try:
        os.write(2, b"error: interrupted\n")
        sys.stdout.flush()
    finally:
        os._exit(128 + number)


def _open_closed() -> None:
    """A closed standard descriptor is given to the next file or socket, which then gets what is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(opened, True)
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file name that are no text go out as they came in, everything else as ``\\u6a21``."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)
