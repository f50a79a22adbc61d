"""`ConcurrentBertClient`: a pool of clients for several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from bert_serving.client.checks import Texts, check_identity
from bert_serving.client.client import BertClient
from bert_serving.client.results import Classification


class ConcurrentBertClient:
    """Up to `max_concurrency` calls at a time from any threads; all connections are made at once.

    Args:
        max_concurrency: number of connections.
        kwargs: as for `BertClient`. A given `identity` gets a number appended for each connection.

    Raises:
        RuntimeError: a call finds every connection in use.
    """

    def __init__(self, max_concurrency: int = 10, **kwargs: Any) -> None:
        if max_concurrency < 1:
            raise ValueError(f'"max_concurrency" must be positive, not {max_concurrency}')
        self.max_concurrency = max_concurrency
        self.available_bc: list[BertClient] = []
        self._closed = False
        identity = kwargs.pop("identity", None)
        try:
            for number in range(max_concurrency):
                own = None if identity is None else check_identity(identity) + b"-%d" % number
                self.available_bc.append(BertClient(identity=own, **kwargs))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections; those in use follow when their call ends."""
        self._closed = True
        for client in self.available_bc:
            client.close()

    def __enter__(self) -> ConcurrentBertClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def encode(self, texts: Texts, blocking: bool = True, **kwargs: Any) -> Any:
        """`BertClient.encode` on a free connection."""
        if not blocking:
            self.fetch()
        with self._borrowed() as client:
            return client.encode(texts, **kwargs)

    def tag(self, texts: Texts, is_tokenized: bool = False, output: str = "entities") -> list[list[Any]]:
        """`BertClient.tag` on a free connection."""
        with self._borrowed() as client:
            return client.tag(texts, is_tokenized, output)

    def classify(self, texts: list[str]) -> list[Classification]:
        """`BertClient.classify` on a free connection."""
        with self._borrowed() as client:
            return client.classify(texts)

    @property
    def server_config(self) -> dict[str, Any]:
        """`BertClient.server_config` on a free connection."""
        with self._borrowed() as client:
            return client.server_config

    @property
    def server_status(self) -> dict[str, Any]:
        """`BertClient.server_status` on a free connection."""
        with self._borrowed() as client:
            return client.server_status

    @property
    def status(self) -> dict[str, Any]:
        """`BertClient.status` of a free connection."""
        with self._borrowed() as client:
            return client.status

    def fetch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not available in a pool."""
        raise NotImplementedError(
            "ConcurrentBertClient has blocking calls only; use a BertClient per thread, or AsyncBertClient"
        )

    fetch_all = encode_async = fetch

    @contextmanager
    def _borrowed(self) -> Iterator[BertClient]:
        try:
            client = self.available_bc.pop()
        except IndexError:
            raise RuntimeError(
                f"Too many concurrent connections! Raise max_concurrency, now {self.max_concurrency}"
            ) from None
        try:
            yield client
        finally:
            self.available_bc.append(client)
            if self._closed:
                client.close()
