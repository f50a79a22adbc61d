"""One model as it is served: its files, its tokeniser, its queue and its workers. A reload makes another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bert_serving.server.models.model_info import ModelInfo
from bert_serving.server.options import ServerOptions
from bert_serving.server.process.descriptors import Spare
from bert_serving.server.process.periodic import Periodic
from bert_serving.server.settings import Settings, resolve
from bert_serving.server.tasks.registry import make_tasks
from bert_serving.server.tasks.request import RequestError
from bert_serving.server.tasks.task import Task
from bert_serving.server.workers.dispatcher import Dispatcher
from bert_serving.server.workers.supervisor import Worker

from bert_ft.checkpoint.fingerprint import HeldFiles
from bert_ft.errors import BertFtError

_TRIES = 3
_CHECK_SECONDS = 1.0


class ServedModel:
    """A model from the moment its files were opened. Make one with :meth:`open`.

    Attributes:
        tasks: all that the server knows, by name; ``info`` says which this model answers.
        info: what the workers say of the model; before one is ready, what bert_ft.json says.
        fingerprint: of its files; every worker has loaded these.
        ready: set when every worker is ready.
        ended: set when it cannot go on; ``fault`` says why, and ``on_fatal`` is told so.
        requests: under way with it, from their beginning to their answer.
    """

    def __init__(self, settings: Settings, tasks: dict[str, Task], files: HeldFiles, spare: Spare) -> None:
        self.settings = settings
        self.tasks = tasks
        self.fingerprint = files.fingerprint
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.fault: str | None = None
        self.on_fatal: Callable[[str], None] = lambda message: None
        self.requests = 0
        self._files = files
        metadata = settings.directory.metadata
        self.info = ModelInfo(0, metadata.head, metadata.labels) if metadata else ModelInfo(0, None, [])
        self.dispatcher = Dispatcher(settings, files, spare, self._on_worker_ready, self._on_fatal)
        self._check = Periodic(_CHECK_SECONDS, self.dispatcher.check)

    @classmethod
    def open(cls, options: ServerOptions, spare: Spare) -> ServedModel:
        """Read all but the weights; blocks for a moment.

        Raises:
            BertFtError: a flag or a file is at fault, or the model is being replaced again and again.
        """
        for _ in range(_TRIES):
            try:
                files = HeldFiles(options.place)
            except OSError:
                continue  # one was replaced between two looks at it
            try:
                settings = resolve(options)
                tasks = make_tasks(settings)
                if files.where() == "place":
                    return cls(settings, tasks, files, spare)
            except BaseException:
                files.close()
                raise
            files.close()
        raise BertFtError(f"{options.model_dir}: changes while it is read; try again when the new model is complete")

    def start(self) -> None:
        """Start the workers; runs on the loop."""
        self._check.start()
        self.dispatcher.supervisor.start()

    async def stop(self) -> None:
        """End the workers; who still waits for them gets an error."""
        self._check.close()
        self.dispatcher.give_up_all(RequestError("shutting_down", "the server is shutting down"))
        self.dispatcher.supervisor.stop()
        await asyncio.to_thread(self.dispatcher.supervisor.wait)
        self._files.close()

    def _on_worker_ready(self, worker: Worker) -> None:
        if not self.info.dim:
            self.info = ModelInfo(worker.info["dim"], worker.info.get("head"), list(worker.info.get("labels", ())))
        if all(one.info for one in self.dispatcher.supervisor.workers):
            self.ready.set()

    def _on_fatal(self, message: str) -> None:
        if self.fault is None:
            self.fault = message
            self.ended.set()
            self.on_fatal(message)
            self.dispatcher.give_up_all(RequestError("server_failed", f"the server ends: {message}"))
