"""The model that is served, one that is being loaded to take its place, and those whose requests are not done yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bert_serving.server.models.served_model import ServedModel
from bert_serving.server.monitoring.logs import get_logger
from bert_serving.server.options import ServerOptions
from bert_serving.server.process.descriptors import Spare

from bert_ft.errors import BertFtError

_LOOK_SECONDS = 0.05


class Models:
    """All models in memory; ``current`` is the one that new requests get.

    A request has one model from its beginning to its answer: a reload loads the new one beside the old, lets new
    requests have it when all its workers are ready, and ends the old one's workers when its last request is answered.

    Args:
        options: the flags as given; each model resolves them anew.
        on_fatal: called with the reason when the current model cannot go on.

    Raises:
        BertFtError: the first model cannot be opened.
    """

    def __init__(self, options: ServerOptions, spare: Spare, on_fatal: Callable[[str], None]) -> None:
        self._options = options
        self._spare = spare
        self._on_fatal = on_fatal
        self._all: list[ServedModel] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._paused: set[bytes] = set()
        self._is_reloading = False
        self.current = self._add(ServedModel.open(options, spare))

    async def reload(self, stop: asyncio.Event) -> ServedModel:
        """Serve what lies in the model directory now; returns the current model.

        Args:
            stop: ends the attempt.

        Raises:
            BertFtError: it cannot be served, or another reload is under way; the current model goes on.
        """
        if self._is_reloading:
            raise BertFtError("a reload is under way already")
        self._is_reloading = True
        try:
            new = await asyncio.to_thread(ServedModel.open, self._options, self._spare)
            if new.fingerprint == self.current.fingerprint:
                await new.stop()
                return self.current
            await self._load(new, stop)
            old, self.current = self.current, new
            get_logger("VENTILATOR").info("reload: model %s is served now, not %s", new.fingerprint, old.fingerprint)
            task = asyncio.get_running_loop().create_task(self._retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            return new
        finally:
            self._is_reloading = False

    def pause(self, client: bytes, wanted: bool) -> None:
        """Work on no more requests of a client that does not read its answers, or do so again."""
        (self._paused.add if wanted else self._paused.discard)(client)
        for model in self._all:
            model.dispatcher.pause(client, wanted)

    def status(self) -> dict[str, int]:
        """What waits for all; how many pieces a batch of the current one may hold, and a bulk one beside interactive
        requests."""
        return {
            "waiting_sequences": sum(len(model.dispatcher.batcher) for model in self._all),
            "batch_tokens": self.current.dispatcher.batcher.long,
            "batch_tokens_beside_interactive": self.current.dispatcher.batcher.short,
            "models": len(self._all),
        }

    async def close(self) -> None:
        """End all workers."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(model.stop() for model in self._all))

    async def _load(self, new: ServedModel, stop: asyncio.Event) -> None:
        for note in new.settings.notes:
            get_logger("VENTILATOR").info(note)
        self._add(new)
        try:
            new.start()
            await first(new.ready, new.ended, stop)
            if new.fault is not None or stop.is_set():
                raise BertFtError(new.fault or "the server is shutting down")
        except BaseException:
            self._all.remove(new)
            await new.stop()
            raise

    async def _retire(self, old: ServedModel) -> None:
        while old.requests:
            await asyncio.sleep(_LOOK_SECONDS)
        self._all.remove(old)
        await old.stop()

    def _add(self, model: ServedModel) -> ServedModel:
        """From now on its faults count, and the clients that are paused are so for it too."""
        model.on_fatal = lambda message: self._fault(model, message)
        for client in self._paused:
            model.dispatcher.pause(client, True)
        self._all.append(model)
        return model

    def _fault(self, model: ServedModel, message: str) -> None:
        if model is self.current:
            self._on_fatal(message)


async def first(*events: asyncio.Event) -> None:
    """Wait for one of several events."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
