"""The middle frames of an answer: header and body."""

from __future__ import annotations

import asyncio
from functools import partial

from bert_serving.client.wire import array_header, json_header
from bert_serving.server.frontends.zmq.outbox import Frames
from bert_serving.server.tasks.job import EncodeResult, JsonResult

MANY_TOKEN_LISTS = 256


async def answer_frames(result: EncodeResult | JsonResult) -> Frames:
    """Header and body; a large header is written in a thread."""
    if isinstance(result, JsonResult):
        return [json_header(result.task, result.truncated, result.model), result.body]
    vectors = result.vectors
    header = partial(
        array_header, vectors.dtype.name, vectors.shape, result.tokens or "", result.truncated, result.model
    )
    much = result.tokens is not None and len(result.tokens) > MANY_TOKEN_LISTS
    return [await asyncio.to_thread(header) if much else header(), vectors]
