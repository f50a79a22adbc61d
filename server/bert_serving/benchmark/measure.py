"""The measurement: for each server its loads, for each load its clients; all of it once a repeat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bert_serving.benchmark.peak import flop_per_token, measure_roof
from bert_serving.benchmark.plan import ClientPlan, Load, Plan, Session, in_turn
from bert_serving.benchmark.sample import ClientTimes, sample_of
from bert_serving.benchmark.server_process import HOST, ServerProcess
from bert_serving.benchmark.workload import Workload

from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import usable_cores

WARM_UP = Load((ClientPlan(0, 256, requests=1),), None)
_LOOK_SECONDS = 1
_Measured = tuple[Load, list[ClientTimes], float | None]


class Measurement:
    """Runs a plan; the samples are then in its points.

    Args:
        say: told of each load, a line.

    Attributes:
        ready_seconds: of each server that was started.
        roof_gflops: in the order of measurement.
        config: SHOW_CONFIG of the first server.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.ready_seconds: list[float] = []
        self.roof_gflops: list[float] = []
        self.config: dict[str, Any] = {}
        self._plan = plan
        self._say = say
        self._cores = usable_cores()

    def run(self) -> None:
        """
        Raises:
            BertFtError: a server or a client failed.
        """
        plan, done = self._plan, 0
        total = plan.loads * plan.options.num_repeat
        before = self._roof()
        for session, loads in in_turn(plan.sessions, plan.options.num_repeat):
            measured: list[_Measured] = []
            with ServerProcess(session.options, plan.options.wait_till_ready) as server:
                self.ready_seconds.append(server.ready_seconds)
                self.config = self.config or server.config
                run_load(server, WARM_UP, self._plan.workload)
                for load in loads:
                    measured.append(self._measure(server, load, session))
                    done += 1
                    self._say(f"{done}/{total} {_names(plan, session.loads[load])}: {self._figures(measured[-1])}")
            after = self._roof()
            self._file(session, measured, max(before, after) if before and after else None)
            before = after

    def _measure(self, server: ServerProcess, load: Load, session: Session) -> _Measured:
        workload = self._plan.workload if load.length is None else session.long
        assert workload is not None
        return load, run_load(server, load, workload), server.memory_mb()

    def _file(self, session: Session, measured: Sequence[_Measured], roof: float | None) -> None:
        """Put the figures into the points that show them."""
        flop = flop_per_token(session.settings.directory.config, session.options)
        for load, clients, memory in measured:
            for point in session.loads[load]:
                sample = sample_of(clients[point.clients], self._cores, memory)
                if roof is not None:
                    share = sample.tokens_per_second * flop / (roof * 1e9)
                    sample = replace(sample, roof_gflops=roof, roof_share=share)
                point.samples.append(sample)

    def _roof(self) -> float | None:
        if self._plan.options.no_roof:
            return None
        self.roof_gflops.append(measure_roof(self._plan.options.server.precision, self._cores))
        return self.roof_gflops[-1]

    def _figures(self, measured: _Measured) -> str:
        sample = sample_of(measured[1], self._cores)
        return (
            f"{sample.texts_per_second:.1f} texts/s, p50 {sample.latency_p50_ms:.1f} ms, "
            f"p99 {sample.latency_p99_ms:.1f} ms, requests: {sample.requests}"
        )


def run_load(server: ServerProcess, load: Load, workload: Workload) -> list[ClientTimes]:
    """Let the clients of a load do their work, and see that the server has counted the texts that they sent.

    Raises:
        BertFtError: a client got an error, the server has ended, or the counts differ.
    """
    before = server.sequences()
    results = _run_clients(server, load, workload.texts)
    times = [_times(plan, result, workload) for plan, result in zip(load.clients, results, strict=True)]
    sent = sum(one.texts for one in times) + sum(result["warm_up_texts"] for result in results)
    taken = server.sequences() - before
    if taken != sent:
        raise BertFtError(f"the clients sent {sent} texts and the server counted {taken}: the figures would be wrong")
    return times


def _times(plan: ClientPlan, result: dict[str, Any], workload: Workload) -> ClientTimes:
    texts = plan.batch_size * len(result["latencies"])
    sent = (plan.first + plan.step * np.arange(texts)) % len(workload.texts)
    latencies, began, ended = result["latencies"], result["began"], result["ended"]
    return ClientTimes(texts, int(workload.pieces[sent].sum()), latencies, began, ended, result["processor_seconds"])


def _run_clients(server: ServerProcess, load: Load, texts: list[str]) -> list[dict[str, Any]]:
    ports = {"host": HOST, "port": server.options.port, "port_out": server.options.port_out}
    job = {**ports, "texts": texts, "seconds": load.seconds, "clients": [one._asdict() for one in load.clients]}
    process = subprocess.Popen(
        [sys.executable, "-m", "bert_serving.benchmark.load"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        # numpy's threads would be made for nothing, and forking is for processes with one
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    try:
        answer = _answer(process, json.dumps(job), server)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its session is its own: the clients are in it too
            process.wait()
    if "error" in answer:
        server.check()
        raise BertFtError(f"the measurement failed: {answer['error']}")
    return answer["clients"]


def _answer(process: subprocess.Popen[str], job: str, server: ServerProcess) -> dict[str, Any]:
    """What the clients' program says; a server that ends meanwhile ends the wait."""
    given: str | None = job
    while True:
        try:
            output, errors = process.communicate(given, timeout=_LOOK_SECONDS)
            break
        except subprocess.TimeoutExpired:
            given = None
            server.check()
    try:
        return json.loads(output)
    except ValueError:
        words = (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        raise BertFtError(f"the clients' program failed: {words}") from None


def _names(plan: Plan, points: Sequence[Any]) -> str:
    return ", ".join(f"{axis.name}={point.label}" for axis in plan.axes for point in points if point in axis.points)
