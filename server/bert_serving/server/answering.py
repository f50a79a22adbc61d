"""From a request to its answer: tokenise in threads, queue, await what workers find, build the answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from bert_serving.server.models.served_model import ServedModel
from bert_serving.server.tasks.job import EncodeResult, JsonResult
from bert_serving.server.tasks.registry import TaskRequest
from bert_serving.server.tasks.request import MAX_TEXT_CHARACTERS, Texts

from bert_ft.hardware.processor import usable_cores

FIRST_SLICE = 256
NEXT_SLICES = 2048
SMALL_REQUEST_BYTES = 64 << 10
TINY_REQUEST_BYTES = 1 << 10
"""A sentence: the loop reads it itself, in less time than a thread takes to wake."""

T = TypeVar("T")


class TaskService:
    """What every door calls: :meth:`answer`.

    Small and large requests are parsed in pools of their own, so that a sentence never waits for a book.
    """

    def __init__(self) -> None:
        threads = max(1, min(4, usable_cores()))
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._small = ThreadPoolExecutor(threads, "small-request")
        self._large = ThreadPoolExecutor(threads, "large-request")

    async def answer(
        self, served: ServedModel, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        """Answer one request with one model, whatever is served when it is done.

        Args:
            client: clients take turns in the queue by this name.
            load: gives the checked texts; called in a thread.
            size: bytes of the request.

        Raises:
            RequestError: it cannot be answered; the message is for the caller.
        """
        with served.in_use():
            result = await self._answer(served, client, request, load, size)
        return result._replace(model=served.fingerprint)

    async def _answer(
        self, served: ServedModel, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        model, dispatcher = served.info(), served.dispatcher
        model.check(request.task)
        pool = self._large if size > SMALL_REQUEST_BYTES else self._small
        task = served.tasks[request.task]
        begin = functools.partial(_begin, load, task.prepare)
        texts, end, prepared = begin() if size <= TINY_REQUEST_BYTES else await self._in(pool, begin)
        job = task.job(len(texts), model.dim, model.labels, request.options)
        try:
            sequences = job.add(prepared)
            bulk = max(len(texts), len(sequences)) > served.settings.options.priority_batch_size
            dispatcher.submit(client, job, sequences, bulk)
            while end < len(texts) and not job.done:
                start, end = end, _slice_end(texts, end, NEXT_SLICES)
                prepared = await self._in(pool, functools.partial(task.prepare, texts[start:end]))
                if job.done:
                    break
                dispatcher.submit(client, job, job.add(prepared), bulk)
            await job.finished
        finally:
            dispatcher.end(job)
        if job.result_is_quick:
            return job.result()
        # padded rows may take many times the memory of those that the workers gave
        async with self._turns.setdefault(client, asyncio.Lock()):
            await dispatcher.room(client)
            return await self._in(pool, job.result)

    def close(self) -> None:
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function)


def _begin(load: Callable[[], Texts], prepare: Callable[[Texts], Sequence[Any]]) -> tuple[Texts, int, Sequence[Any]]:
    """All texts, and the first of them prepared, up to an end."""
    texts = load()
    end = _slice_end(texts, 0, FIRST_SLICE)
    return texts, end, prepare(texts[:end])


def _slice_end(texts: Texts, start: int, maximum: int) -> int:
    characters = 0
    for place in range(start, min(start + maximum, len(texts))):
        characters += len(texts[place])
        if characters >= MAX_TEXT_CHARACTERS:
            return place + 1
    return min(start + maximum, len(texts))
