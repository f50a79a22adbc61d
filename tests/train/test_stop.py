"""Signals while training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import click
import pytest

from bert_ft.train.stop import StopSignals, run_command


@pytest.fixture(autouse=True)
def handlers_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) == handler
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_check(number: int) -> None:
    with StopSignals() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # such as a parent's, beside the terminal's own
        assert stop.received == number
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_at_once_it_interrupts_and_one_that_came_before_does_too() -> None:
    with StopSignals() as stop:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt), stop.at_once():
            time.sleep(60)
        with pytest.raises(KeyboardInterrupt), stop.at_once():
            pytest.fail("not entered")


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            stop.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_can_train() -> None:
    seen: list[bool] = []

    def train() -> None:
        with StopSignals() as stop:
            stop.check()
            seen.append(True)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen


def test_a_second_signal_after_a_while_ends_the_process() -> None:
    code = """
import os, signal, time
from bert_ft.train.stop import StopSignals
with StopSignals():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=50).returncode == -signal.SIGTERM


def test_ctrl_c_outside_of_the_training_is_one_line_and_status_130() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    with pytest.raises(click.ClickException, match="interrupted") as caught:
        run_command(interrupted)
    assert caught.value.exit_code == 130
    with pytest.raises(SystemExit, match="143"):
        run_command(lambda: 143)
    run_command(lambda: 0)
