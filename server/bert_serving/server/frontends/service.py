"""What the doors may ask of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bert_serving.server.monitoring.statistic import Statistic
from bert_serving.server.tasks.job import EncodeResult, JsonResult
from bert_serving.server.tasks.registry import TaskRequest
from bert_serving.server.tasks.request import Texts
from bert_serving.server.waiting import Waiting


class Service(Protocol):
    """The server as a door sees it.

    Attributes:
        waiting: unanswered requests of all doors.
        max_request_texts: most texts of one request.
        priority_batch_size: texts up to which a request goes ahead of larger ones.
    """

    statistic: Statistic
    waiting: Waiting
    max_request_texts: int
    priority_batch_size: int

    def check_open(self) -> None:
        """
        Raises:
            RequestError: shutting_down or server_failed: new requests are refused.
        """
        ...

    async def answer(
        self, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        """See :meth:`bert_serving.server.answering.TaskService.answer`."""
        ...

    @property
    def ready(self) -> bool:
        """Whether every worker has been ready, and the server is not stopping."""
        ...

    def config(self, client: bytes, trusted: bool) -> dict[str, Any]:
        """The object of SHOW_CONFIG; paths and versions are for trusted clients."""
        ...

    def status(self, client: bytes, trusted: bool) -> dict[str, Any]:
        """The object of SHOW_STATUS; likewise."""
        ...

    def pause(self, client: bytes, wanted: bool) -> None:
        """Work on no more requests of a client that does not read its answers, or do so again."""
        ...

    async def reload(self, why: str) -> dict[str, Any]:
        """Serve what lies in the model directory now.

        Returns:
            the fingerprint now and before, and whether they differ.

        Raises:
            RequestError: it cannot be served; the model served before goes on.
        """
        ...

    def stop(self, reason: str) -> None:
        """Begin to shut down."""
        ...
