"""What the server asks of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.job import Job
from bert_serving.server.tasks.request import Texts

from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import FullTokenizer

if TYPE_CHECKING:  # a worker reads heads and needs no flags
    from bert_serving.server.settings import Settings

HeadReader = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""Takes a head's logits, the packed rows of the sequences' ``first_pieces`` [K] and their count in each sequence [B];
gives arrays by name. Done in the worker, so that the server's loop only moves arrays."""


class Task(ABC):
    """One way to answer requests, with one served model.

    Attributes:
        name: what requests call it.
        head: the kind of head that it needs; None if every model answers it.
    """

    name: ClassVar[str]
    head: ClassVar[str | None]

    @abstractmethod
    def __init__(self, tokenizer: FullTokenizer, settings: Settings) -> None: ...

    @staticmethod
    def read_options(extra: Mapping[str, Any]) -> dict[str, Any]:
        """Its own among the fields of a request.

        Raises:
            RequestError: bad_request naming what is possible.
        """
        return {}

    @abstractmethod
    def prepare(self, texts: Texts) -> Sequence[Any]:
        """What a job takes, one entry a text. Runs in threads; keeps only what is needed later, since it may wait."""

    @abstractmethod
    def job(self, count: int, dim: int, labels: list[str], options: Mapping[str, Any], limits: Limits) -> Job:
        """The job for a request of ``count`` texts.

        Args:
            dim: length of a vector.
            labels: the head's, in id order; the same list for every request.
            options: what ``read_options`` gave.
            limits: of the answer.

        Raises:
            RequestError: too_large, when the answer would be larger than it may be.
        """

    @staticmethod
    def head_reader(info: dict[str, Any]) -> HeadReader | None:
        """What a worker makes of its engine's head, of which :meth:`bert_ft.engines.base.Engine.info` tells."""
        return None


def bare(features: InputFeatures) -> InputFeatures:
    """Without what no worker needs."""
    return features._replace(special=(), tokens=[], offsets=[])


def input_features(builder: InputBuilder, texts: Texts) -> list[InputFeatures]:
    """Of checked texts: strings, or lists of tokens."""
    return builder.tokenized(texts) if isinstance(texts[0], list) else builder.texts(texts)
