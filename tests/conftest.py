"""For all tests."""

from __future__ import annotations

import signal

# Where the tests run in the background SIGINT may be ignored, and every program they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
