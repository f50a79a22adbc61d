"""Client for bert-ft and bert-as-service servers."""

from bert_serving.client.aio import AsyncBertClient
from bert_serving.client.client import BertClient
from bert_serving.client.concurrent import ConcurrentBertClient
from bert_serving.client.errors import (
    BadReplyError,
    BadRequestError,
    BertServingError,
    EngineFailedError,
    InternalServerError,
    NoHeadError,
    RequestLostError,
    RequestTooLargeError,
    ServerFailedError,
    ServerOverloadedError,
    ServerShuttingDownError,
    UnsupportedByServerError,
)
from bert_serving.client.results import Classification, Entity, Response

__version__ = "0.1.0"

__all__ = [
    "AsyncBertClient", "BadReplyError", "BadRequestError", "BertClient", "BertServingError", "Classification",
    "ConcurrentBertClient", "EngineFailedError", "Entity", "InternalServerError", "NoHeadError", "RequestLostError",
    "RequestTooLargeError", "Response", "ServerFailedError", "ServerOverloadedError", "ServerShuttingDownError",
    "UnsupportedByServerError", "__version__",
]  # fmt: skip
