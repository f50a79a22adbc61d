"""Gives batches to idle workers and what comes back to the requests they belong to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from bert_serving.server.batching.batch_size import BatchSize
from bert_serving.server.batching.batcher import Batch, Batcher, Sequence
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.process.descriptors import Spare
from bert_serving.server.settings import Settings
from bert_serving.server.tasks.job import Job
from bert_serving.server.tasks.request import RequestError
from bert_serving.server.workers.supervisor import Supervisor, Worker

from bert_ft.checkpoint.fingerprint import HeldFiles

LOSSES_OF_ONE_TEXT = 3
"""A text alone in its batch is given up when this many workers died of it, one of them perhaps in company."""
_OUR_FAULT = RequestError("internal", "the server failed on this request; its log says why")
PARTS = 8
"""A batch that failed is tried again in so many parts: each failure may cost a worker, so it should be few rounds."""


class Dispatcher:
    """Between the batcher and the workers; runs on the loop.

    It knows every request under way. Whatever is raised on the way of a batch, or goes astray on it, ends in an error
    for the requests concerned: see :meth:`_ends` and :meth:`check`.

    Args:
        on_ready: called when a worker is ready to take batches.
        on_fatal: called with the reason when workers cannot be started.
    """

    def __init__(
        self,
        settings: Settings,
        files: HeldFiles,
        spare: Spare,
        on_ready: Callable[[Worker], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        options = settings.options
        self._batch_size = BatchSize(options.max_batch_tokens)
        self.batcher = Batcher(options.max_batch_size, self._batch_size.long, self._batch_size.short)
        self.supervisor = Supervisor(settings, files, self, spare)
        self._jobs: dict[int, Job] = {}
        self._suspects: set[int] = set()
        self._on_ready = on_ready
        self.on_fatal = on_fatal
        self._pauses: dict[bytes, asyncio.Event] = {}
        self._logger = get_logger("VENTILATOR")

    def submit(self, client: bytes, job: Job, sequences: list[Sequence], bulk: bool) -> None:
        self._jobs[id(job)] = job
        job.outstanding += len(sequences)
        self.batcher.add(client, job, sequences, bulk)
        self._dispatch()

    def end(self, job: Job) -> None:
        """The request is answered, or its caller waits no longer."""
        self._jobs.pop(id(job), None)
        if not job.done:
            self.give_up(job)
        if job.finished.done() and not job.finished.cancelled():
            job.finished.exception()  # seen, though its waiter may be gone

    def pause(self, client: bytes, wanted: bool) -> None:
        """Give no worker requests of this client, or do so again."""
        if wanted:
            self.batcher.paused.add(client)
            self._pauses[client] = asyncio.Event()
        else:
            self.batcher.paused.discard(client)
            self._pauses.pop(client).set()
            self._dispatch()

    async def room(self, client: bytes) -> None:
        """Wait while a client is paused."""
        while (pause := self._pauses.get(client)) is not None:
            await pause.wait()

    def on_ready(self, worker: Worker) -> None:
        with self._ends(None):
            self._batch_size.start(worker.info.get("tokens_per_second"))
            self._set_budgets()
            self._on_ready(worker)
        self._dispatch()

    def on_result(self, worker: Worker, batch: Batch, arrays: dict[str, np.ndarray]) -> None:
        with self._ends(batch.sequences):
            lengths = [sequence.length for sequence in batch.sequences]
            self._batch_size.learn(sum(lengths), worker.seconds)
            self._set_budgets()
            self._dispatch()
            shares = _shares(batch)
            try:
                found = {kind: kind.read(arrays, lengths) for kind in {type(share.job) for share in shares}}
            except ValueError as error:
                self.on_error(worker, batch, str(error))
                return
            for share in shares:
                with self._ends(share.sequences):
                    indices = [sequence.index for sequence in share.sequences]
                    share.job.put(indices, found[type(share.job)], share.places)

    def on_error(self, worker: Worker, batch: Batch, message: str) -> None:
        """The engine raised; the worker lives on."""
        with self._ends(batch.sequences):
            self._split_or_fail(batch, message, LOSSES_OF_ONE_TEXT)

    def on_lost(self, worker: Worker, batch: Batch, reason: str) -> None:
        """The worker died of the batch, or by chance while it had it."""
        with self._ends(batch.sequences):
            self._split_or_fail(batch, f"the worker died ({reason})", batch.losses + 1)

    def _split_or_fail(self, batch: Batch, message: str, losses: int) -> None:
        sequences = batch.sequences
        if len(sequences) > 1:
            size = -(-len(sequences) // PARTS)
            for start in range(0, len(sequences), size):
                self.batcher.add_again(Batch(sequences[start : start + size], 1))
        elif losses < LOSSES_OF_ONE_TEXT:
            self.batcher.add_again(Batch(sequences, losses))
        else:
            self._logger.error("a text of %d pieces cannot be encoded: %s", sequences[0].length, message)
            job = _job(sequences[0])
            text = f"texts[{job.text_of(sequences[0].index)}] cannot be encoded: {message}"
            self.give_up(job, RequestError("engine_failed", text))
        self._dispatch()

    def give_up(self, job: Job, error: RequestError | None = None) -> None:
        """Forget what is left of a request; with ``error``, that is what its waiter gets."""
        job.give_up(error)
        self.batcher.discard(job)

    def give_up_all(self, error: RequestError) -> None:
        """End every request under way with an error."""
        for job in list(self._jobs.values()):
            job.give_up(error)
            with contextlib.suppress(Exception):  # it may be the queue that is broken
                self.batcher.discard(job)

    def check(self) -> None:
        """Find requests that no queue and no worker has, and end them with an error; to be called now and then.

        There is no such request unless this class or the batcher has a fault. One is given a second look, since a batch
        may be between two hands.
        """
        self._dispatch()
        known = self.batcher.owners()
        for worker in self.supervisor.workers:
            known |= {id(sequence.owner) for sequence in (worker.batch.sequences if worker.batch else ())}
        astray = {name for name, job in self._jobs.items() if job.outstanding and not job.done and name not in known}
        for name in astray & self._suspects:
            self._logger.error("a request went astray in the server")
            self.give_up(self._jobs[name], _OUR_FAULT)
        self._suspects = astray

    def _set_budgets(self) -> None:
        self.batcher.long, self.batcher.short = self._batch_size.long, self._batch_size.short

    def _dispatch(self) -> None:
        while (worker := self.supervisor.idle()) is not None:
            batch = None
            with self._ends(None):
                batch = self.batcher.take()
            if batch is None:
                return
            with self._ends(batch.sequences):
                worker.run(batch)

    @contextlib.contextmanager
    def _ends(self, sequences: list[Sequence] | None) -> Iterator[None]:
        """Whatever is raised within is logged, and ends the requests of these sequences with an error; None: all."""
        try:
            yield
        except Exception:
            self._logger.exception("the server failed on %s", "a batch" if sequences else "its queue")
            if sequences is None:
                self.give_up_all(_OUR_FAULT)
            else:
                for job in {id(sequence.owner): _job(sequence) for sequence in sequences}.values():
                    self.give_up(job, _OUR_FAULT)


class _Share(NamedTuple):
    """What a batch has of one request: sequences, and their places in the batch."""

    job: Job
    sequences: list[Sequence]
    places: list[int]


def _shares(batch: Batch) -> list[_Share]:
    shares: dict[int, _Share] = {}
    for place, sequence in enumerate(batch.sequences):
        share = shares.setdefault(id(sequence.owner), _Share(_job(sequence), [], []))
        share.sequences.append(sequence)
        share.places.append(place)
    return list(shares.values())


def _job(sequence: Sequence) -> Job:
    assert isinstance(sequence.owner, Job)
    return sequence.owner
