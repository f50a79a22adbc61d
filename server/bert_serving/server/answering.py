"""From a request to its answer, for all frontends: admit it, tokenise in threads, queue, await what workers find, build
the answer, and say what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from bert_serving.server.admission import Admission
from bert_serving.server.limits import Limits
from bert_serving.server.models.models import Models
from bert_serving.server.models.served_model import ServedModel
from bert_serving.server.monitoring.logs import Throttle, get_logger
from bert_serving.server.monitoring.statistic import Statistic
from bert_serving.server.options import ServerOptions
from bert_serving.server.tasks.job import EncodeResult, JsonResult
from bert_serving.server.tasks.registry import TaskRequest
from bert_serving.server.tasks.request import RequestError, Texts

from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import usable_cores

FIRST_SLICE = 256
NEXT_SLICES = 2048
SMALL_REQUEST_BYTES = 64 << 10
TINY_REQUEST_BYTES = 1 << 10
"""A sentence: the loop reads it itself, in less time than a thread takes to wake."""

T = TypeVar("T")


class Answering:
    """What every frontend asks about a request, from its coming to its answer.

    Small and large requests are parsed in pools of their own, so that a sentence never waits for a book.

    Attributes:
        limits: of all frontends.
        statistic: of all frontends.
        admission: whoever takes a request enters it there.
        ready: set when requests are worked on; those that came before wait for it.
        pause: see :meth:`bert_serving.server.models.models.Models.pause`.
        may_log: whether one more line about a peer's fault may be written.
    """

    def __init__(self, models: Models, options: ServerOptions, limits: Limits) -> None:
        threads = max(1, min(4, usable_cores()))
        self.limits = limits
        self.statistic = Statistic()
        self.admission = Admission(options.max_queue, limits)
        self.ready = asyncio.Event()
        self.may_log = Throttle(limits.max_log_lines)
        self.pause = models.pause
        self._models = models
        self._max_request_texts = options.max_request_texts
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._small = ThreadPoolExecutor(threads, "small-request")
        self._large = ThreadPoolExecutor(threads, "large-request")

    def check_count(self, client: bytes, texts: int) -> None:
        """A data request has come, of so many texts; raises RequestError if those are too many."""
        self.statistic.add_data_request(client, texts)
        if texts > self._max_request_texts:
            limit = f"{self._max_request_texts} texts (-max_request_texts)"
            raise RequestError("too_large", f"a request holds at most {limit}; send it in parts")

    def fault(self, error: Exception, what: str) -> RequestError:
        """What the caller is told of something that was raised; it is logged if it is no fault of the caller's."""
        if isinstance(error, RequestError):
            return error
        if isinstance(error, BertFtError):
            return RequestError("bad_request", str(error))
        if self.may_log():
            get_logger("VENTILATOR").error("%s failed", what, exc_info=error)
        return RequestError("internal", "the server failed on this request; its log says why")

    async def answer(
        self, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        """Answer one request with the current model, whatever is served when it is done.

        Args:
            client: clients take turns in the queue by this name.
            load: gives the checked texts; called in a thread.
            size: bytes of the request.

        Raises:
            RequestError: it cannot be answered; the message is for the caller.
        """
        await self.ready.wait()
        served = self._models.current
        served.requests += 1
        try:
            result = await self._answer(served, client, request, load, size)
        finally:
            served.requests -= 1
        return result._replace(model=served.fingerprint)

    async def _answer(
        self, served: ServedModel, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        model, dispatcher = served.info, served.dispatcher
        model.check(request.task)
        pool = self._large if size > SMALL_REQUEST_BYTES else self._small
        task = served.tasks[request.task]

        def begin() -> tuple[Texts, int, Sequence[Any]]:
            """All texts, and the first of them prepared, up to an end."""
            texts = load()
            end = self._slice_end(texts, 0, FIRST_SLICE)
            return texts, end, task.prepare(texts[:end])

        texts, end, prepared = begin() if size <= TINY_REQUEST_BYTES else await in_pool(pool, begin)
        job = task.job(len(texts), model.dim, model.labels, request.options, self.limits)
        try:
            sequences = job.add(prepared)
            bulk = max(len(texts), len(sequences)) > served.settings.options.priority_batch_size
            dispatcher.submit(client, job, sequences, bulk)
            while end < len(texts) and not job.done:
                start, end = end, self._slice_end(texts, end, NEXT_SLICES)
                prepared = await in_pool(pool, task.prepare, texts[start:end])
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
            return await in_pool(pool, job.result)

    def close(self) -> None:
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _slice_end(self, texts: Texts, start: int, maximum: int) -> int:
        characters = 0
        for place in range(start, min(start + maximum, len(texts))):
            characters += len(texts[place])
            if characters >= self.limits.max_text_characters:
                return place + 1
        return min(start + maximum, len(texts))


async def in_pool(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    """What a function gives, called in a thread."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
