"""What the server and its frontends ask of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from bert_serving.server.answering import Answering
from bert_serving.server.options import ServerOptions


class Service(Protocol):
    """The server as a frontend sees it.

    Attributes:
        answering: what is the same for all frontends: admission, answers, faults.
    """

    answering: Answering

    @property
    def ready(self) -> bool:
        """Whether every worker has been ready, and the server is not stopping."""

    def config(self, client: bytes, trusted: bool) -> dict[str, Any]:
        """The object of SHOW_CONFIG; paths and versions are for trusted clients."""

    def status(self, client: bytes, trusted: bool) -> dict[str, Any]:
        """The object of SHOW_STATUS; likewise."""

    async def reload(self, why: str) -> dict[str, Any]:
        """Serve what lies in the model directory now.

        Returns:
            the fingerprint now and before, and whether they differ.

        Raises:
            RequestError: it cannot be served; the model served before goes on.
        """

    def stop(self, reason: str) -> None:
        """Begin to shut down."""


class Frontend(Protocol):
    """One protocol, spoken at ports of its own.

    Args:
        max_connections: of each port.

    Attributes:
        name: of the frontend in the counts of requests.
        warnings: lines for the log.

    Raises:
        BertFtError: a flag, a file or a library is at fault.
    """

    name: ClassVar[str]
    warnings: Sequence[str]

    def __init__(self, options: ServerOptions, service: Service, max_connections: int) -> None: ...

    @staticmethod
    def ports(options: ServerOptions) -> dict[str, int]:
        """Its ports by flag; none if it is not wanted."""

    def open(self) -> None:
        """Bind the ports.

        Raises:
            BertFtError: one cannot be bound.
        """

    def start(self) -> None:
        """Take requests from now on; runs on the loop."""

    async def idle(self) -> None:
        """Wait until every request has its answer."""

    async def close(self) -> None:
        """Tell who still waits that there will be no answer, and free the ports."""

    def status(self) -> dict[str, int]:
        """What it adds to the ``queue`` of SHOW_STATUS."""
