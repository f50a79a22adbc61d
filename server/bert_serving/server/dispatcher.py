"""Gives batches to idle workers and what comes back to the requests they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from bert_serving.server.batch_message import BatchResult
from bert_serving.server.batcher import Batcher, Group, Sequence
from bert_serving.server.jobs import Job
from bert_serving.server.logs import get_logger
from bert_serving.server.pace import Pace
from bert_serving.server.requests import RequestError
from bert_serving.server.settings import Settings
from bert_serving.server.supervisor import Supervisor, Worker

LOSSES_OF_ONE_TEXT = 3
"""A text alone in its batch is given up when this many workers died of it, one of them perhaps in company."""
PARTS = 8
"""A batch that failed is tried again in so many parts: each failure may cost a worker, so it should be few rounds."""


class Dispatcher:
    """Between the batcher and the workers; runs on the loop.

    Args:
        on_ready: called when a worker is ready to take batches.
        on_fatal: called with the reason when workers cannot be started.
    """

    def __init__(self, settings: Settings, on_ready: Callable[[Worker], None], on_fatal: Callable[[str], None]) -> None:
        options = settings.options
        self._pace = Pace(options.max_batch_tokens)
        self.batcher = Batcher(options.max_batch_size, self._pace.long, self._pace.short)
        self.supervisor = Supervisor(settings, self)
        self._token_level = settings.token_level
        self._on_ready = on_ready
        self._on_fatal = on_fatal
        self._pauses: dict[bytes, asyncio.Event] = {}
        self._logger = get_logger("VENTILATOR")

    def submit(self, client: bytes, job: Job, sequences: list[Sequence], bulk: bool) -> None:
        self.batcher.add(client, job, sequences, bulk)
        self._give()

    def pause(self, client: bytes, wanted: bool) -> None:
        """Give no worker requests of this client, or do so again."""
        if wanted:
            self.batcher.paused.add(client)
            self._pauses[client] = asyncio.Event()
        else:
            self.batcher.paused.discard(client)
            self._pauses.pop(client).set()
            self._give()

    async def room(self, client: bytes) -> None:
        """Wait while a client is paused."""
        while (pause := self._pauses.get(client)) is not None:
            await pause.wait()

    def on_ready(self, worker: Worker) -> None:
        self._pace.start(worker.info.get("tokens_per_second"))
        self._set_budgets()
        self._on_ready(worker)
        self._give()

    def on_result(self, worker: Worker, group: Group, arrays: dict[str, np.ndarray]) -> None:
        self._pace.learn(sum(sequence.length for sequence in group.sequences), worker.seconds)
        self._set_budgets()
        self._give()
        try:
            result = BatchResult([sequence.length for sequence in group.sequences], arrays, self._token_level)
        except ValueError as error:
            self.on_error(worker, group, str(error))
            return
        shares: dict[int, tuple[Job, list[int], list[int]]] = {}
        for place, sequence in enumerate(group.sequences):
            job = _job(sequence)
            _, indices, places = shares.setdefault(id(job), (job, [], []))
            indices.append(sequence.index)
            places.append(place)
        for job, indices, places in shares.values():
            job.put(indices, result, places)

    def on_error(self, worker: Worker, group: Group, message: str) -> None:
        """The engine raised; the worker lives on."""
        self._split_or_fail(group, message, LOSSES_OF_ONE_TEXT)

    def on_lost(self, worker: Worker, group: Group, reason: str) -> None:
        """The worker died of the batch, or by chance while it had it."""
        self._split_or_fail(group, f"the worker died ({reason})", group.losses + 1)

    def on_fatal(self, message: str) -> None:
        self._on_fatal(message)

    def _split_or_fail(self, group: Group, message: str, losses: int) -> None:
        sequences = group.sequences
        if len(sequences) > 1:
            size = -(-len(sequences) // PARTS)
            for start in range(0, len(sequences), size):
                self.batcher.add_again(Group(sequences[start : start + size], 1))
        elif losses < LOSSES_OF_ONE_TEXT:
            self.batcher.add_again(Group(sequences, losses))
        else:
            self._logger.error("a text of %d pieces cannot be encoded: %s", sequences[0].length, message)
            job = _job(sequences[0])
            text = f"texts[{job.text_of(sequences[0].index)}] cannot be encoded: {message}"
            self.give_up(job, RequestError("engine_failed", text))
        self._give()

    def give_up(self, job: Job, error: RequestError | None = None) -> None:
        """Forget what is left of a request; with ``error``, that is what its waiter gets."""
        job.give_up(error)
        self.batcher.discard(job)

    def status(self) -> dict[str, int]:
        """What waits, and how many pieces a batch may hold: by itself, and a bulk one beside interactive requests."""
        batcher = self.batcher
        return {
            "waiting_sequences": len(batcher),
            "batch_tokens": batcher.long,
            "batch_tokens_beside_interactive": batcher.short,
        }

    def _set_budgets(self) -> None:
        self.batcher.long, self.batcher.short = self._pace.long, self._pace.short

    def _give(self) -> None:
        while (worker := self.supervisor.idle()) is not None:
            group = self.batcher.take()
            if group is None:
                return
            worker.run(group)


def _job(sequence: Sequence) -> Job:
    assert isinstance(sequence.owner, Job)
    return sequence.owner
