"""Requests at work: their sequences, what comes back of them, the answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence as Collection
from typing import Any, ClassVar, NamedTuple

import numpy as np
from bert_serving.server.batching.batcher import Sequence
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError


class EncodeResult(NamedTuple):
    """An answer of vectors.

    Attributes:
        vectors: [N, D], or [N, T, D] with pooling strategy NONE; float32 or float16.
        tokens: word pieces of each text with special tokens, or None if the server does not show them.
        truncated: indices of the texts that were cut.
        model: the fingerprint of the model that made it.
    """

    vectors: np.ndarray
    tokens: list[list[str]] | None
    truncated: list[int]
    model: str = ""


class JsonResult(NamedTuple):
    """An answer of anything else.

    Attributes:
        body: JSON, a list with one element a text.
        truncated: indices of the texts that were cut.
        model: the fingerprint of the model that made it.
    """

    task: str
    body: bytes
    truncated: list[int]
    model: str = ""


class Job(ABC):
    """One request. ``add`` its texts in order, ``put`` what workers find, await ``finished``, ask for ``result``.

    Here a text is one sequence, and cut if it is too long.

    Args:
        count: texts of the request.
        rows: takes what is found, by sequence: an array, or a list.

    Attributes:
        output: the engine's output that it is made of.
        done: answered, or answered with an error; its sequences need no worker any more.
        outstanding: sequences that were handed on and have not come back.
        finished: resolves when everything is there; raises :class:`RequestError` if it cannot be had.
        result_is_quick: whether ``result`` may be called on the loop.
    """

    output: ClassVar[str] = "head"
    result_is_quick: ClassVar[bool] = False

    def __init__(self, count: int, rows: np.ndarray | list[Any]) -> None:
        self.done = False
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.truncated: list[int] = []
        self.outstanding = 0
        self._missing = count
        self._added = 0
        self._rows = rows

    def add(self, prepared: Collection[Any]) -> list[Sequence]:
        """The sequences of the next texts.

        Raises:
            RequestError: too_large, when the answer would be larger than it may be.
        """
        start, self._added = self._added, self._added + len(prepared)
        self.truncated += [index for index, f in enumerate(prepared, start) if f.truncated]
        return [Sequence(self, index, f, self.output) for index, f in enumerate(prepared, start)]

    @staticmethod
    @abstractmethod
    def read(arrays: dict[str, np.ndarray], lengths: list[int]) -> np.ndarray | list[Any]:
        """What a batch's arrays say of each of its sequences; once a batch, for all jobs of this class in it.

        Args:
            arrays: by name, as the engine or the head's reader gave them.
            lengths: pieces of each sequence.

        Raises:
            ValueError: they do not fit.
        """

    def put(self, indices: list[int], found: np.ndarray | list[Any], places: list[int]) -> None:
        """Store what was read at ``places`` of a batch for the sequences ``indices`` of this request."""
        if self.done:
            return
        self._store(indices, found, places)
        self.outstanding -= len(indices)
        self._missing -= len(indices)
        if not self._missing:
            self.done = True
            if not self.finished.done():
                self.finished.set_result(None)

    def give_up(self, error: RequestError | None) -> None:
        """Take no more; whoever awaits ``finished`` gets the error."""
        self.done = True
        if error is not None and not self.finished.done():
            self.finished.set_exception(error)

    def text_of(self, index: int) -> int:
        """The text that a sequence belongs to."""
        return index

    @abstractmethod
    def result(self) -> EncodeResult | JsonResult:
        """The answer; may take a while."""

    def _store(self, indices: list[int], found: Any, places: list[int]) -> None:
        if isinstance(self._rows, np.ndarray):
            self._rows[indices] = found[places]
        else:
            for index, place in zip(indices, places, strict=True):
                self._rows[index] = found[place]


def check_size(size: int, what: str, limits: Limits) -> None:
    """Raises RequestError, too_large: so many bytes are more than an answer may have."""
    if size > limits.max_reply_bytes:
        much = f"{what} would take {size >> 20} MB, more than {limits.max_reply_bytes >> 20} MB"
        raise RequestError("too_large", f"{much}; send fewer texts in one request")
