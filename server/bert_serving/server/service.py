"""What the doors may ask of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bert_serving.server.jobs import EncodeResult, JsonResult
from bert_serving.server.requests import TaskRequest, Texts
from bert_serving.server.statistic import Statistic


class Service(Protocol):
    """The server as a door sees it.

    Attributes:
        max_queue: unanswered requests from which on new ones are refused.
        max_request_texts: most texts of one request.
    """

    statistic: Statistic
    max_queue: int
    max_request_texts: int

    @property
    def stopping(self) -> bool:
        """Whether new requests are refused."""
        ...

    async def answer(
        self, client: bytes, request: TaskRequest, load: Callable[[], Texts], size: int
    ) -> EncodeResult | JsonResult:
        """See :meth:`bert_serving.server.tasks.TaskService.answer`."""
        ...

    @property
    def ready(self) -> bool:
        """Whether every worker has been ready."""
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

    def stop(self, reason: str) -> None:
        """Begin to shut down."""
        ...
