"""For all tests."""

from __future__ import annotations

import signal

import pytest

# Where the tests run in the background SIGINT may be ignored, and every program they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_TRAINING = ("tests/training/", "tests/commands/", "tests/inference/test_predict.py",
             "tests/tasks/test_evaluate_sts.py", "tests/end_to_end/test_examples.py")  # fmt: skip
_SERVERS = ("tests/benchmark/test_benchmark.py", "tests/server/test_python_form.py")
_STARTERS = ("RunningServer", "StartServer", "running_server", "BertClient", "ConcurrentBertClient", "AsyncBertClient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``make quick`` leaves out: whole files, by what they are or import."""
    for item in items:
        if item.nodeid.startswith(_TRAINING):
            item.add_marker(pytest.mark.training)
        if item.nodeid.startswith(_SERVERS) or any(hasattr(item.module, name) for name in _STARTERS):
            item.add_marker(pytest.mark.server)
