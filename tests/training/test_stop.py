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
from click.testing import CliRunner

from bert_ft.flags.legacy import LegacyCommand
from bert_ft.signals import StopSignals, watched_bar


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


def slowly(seconds: float) -> Iterator[int]:
    yield 1
    time.sleep(seconds)
    yield 2


def test_waiting_for_an_item_is_interrupted_and_what_comes_after_too() -> None:
    with StopSignals() as stop:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        items = stop.each(slowly(60))
        assert next(items) == 1
        with pytest.raises(KeyboardInterrupt) as caught:
            next(items)
        assert caught.value.args == (signal.SIGTERM,)
        with pytest.raises(KeyboardInterrupt):
            next(stop.each([1]))


def test_what_is_done_with_an_item_is_not_interrupted() -> None:
    with StopSignals() as stop:
        items = stop.each([1, 2])
        next(items)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            next(items)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_callback_swallows_is_not_lost() -> None:
    """TensorFlow, as the garbage collector, goes on after an exception in its callback."""

    class Dropped:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):  # the handler runs between two instructions of this
                pass

    def items() -> Iterator[int]:
        Dropped()
        yield 1

    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):
        next(stop.each(items()))


def test_watched_work_stops_where_it_advances() -> None:
    class Bar:
        n = 0

        def update(self, count: int) -> None:
            self.n += count

    bar = Bar()
    with StopSignals() as stop:
        watched = stop.watched(bar)
        watched.update(3)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            watched.update(4)
        with pytest.raises(KeyboardInterrupt):
            stop.watched().update(1)
    assert bar.n == 7


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
from bert_ft.signals import StopSignals
with StopSignals():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=50).returncode == -signal.SIGTERM


def test_work_behind_a_bar_stops_where_it_advances() -> None:
    with watched_bar(5, "text", "reading") as progress:
        progress.update(1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt) as caught:
            progress.update(1)
    assert caught.value.args == (signal.SIGTERM,)


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt(), 130), (KeyboardInterrupt(signal.SIGTERM), 143)])
def test_an_interrupted_command_is_one_line_and_the_shells_status(raised: KeyboardInterrupt, status: int) -> None:
    @click.command(cls=LegacyCommand)
    def run() -> None:
        raise raised

    done = CliRunner().invoke(run, [])
    assert done.exit_code == status
    assert done.stderr == "error: interrupted\n"
