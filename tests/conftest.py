"""For all tests."""

from __future__ import annotations

import logging
import signal

import pytest
from hypothesis import settings

# Where the tests run in the background SIGINT may be ignored, and every program they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tests", deadline=None)  # a busy machine is no fault
settings.load_profile("tests")

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


@pytest.fixture(autouse=True)
def _logger_as_at_first() -> None:
    """A command that a test or a fixture calls sets up the log of its process, where caplog then sees nothing."""
    logger = logging.getLogger("bert_ft")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
