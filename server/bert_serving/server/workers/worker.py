"""One worker process (``python -m``, with a descriptor). Holds one engine and answers one batch at a time."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bert_serving.server.monitoring.logs import get_logger, start_logging
from bert_serving.server.process.free_memory import MemoryTrim
from bert_serving.server.tasks.registry import head_reader
from bert_serving.server.tasks.task import HeadReader
from bert_serving.server.workers.channel import Channel, Message
from bert_serving.server.workers.messages import read_batch_message

from bert_ft.checkpoint.fingerprint import ModelPlace, fingerprint, linked
from bert_ft.engines import engine_class
from bert_ft.engines.base import Engine, EngineOptions
from bert_ft.errors import BertFtError
from bert_ft.text.packing import InputFeatures, PackedBatch, pack

OUTPUTS = [frozenset({"encode"}), frozenset({"head"}), frozenset({"encode", "head"})]
"""What one batch may be asked for; each is run once before the worker is ready."""


class _ReplacedError(BertFtError):
    """Says nothing about the model that is to be served."""


def main() -> None:
    # The server decides when a worker ends: by closing its end of the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_exit_with_server, args=(sock.fileno(),), daemon=True).start()
    channel = Channel(sock)
    try:
        header, _ = channel.receive()
        start_logging(header["verbose"])
        _serve(channel, header)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _exit_with_server(descriptor: int) -> None:
    """End at once when the server is gone, even in the middle of a batch."""
    poll = select.poll()
    poll.register(descriptor, 0)
    poll.poll()
    os._exit(0)


def _serve(channel: Channel, header: dict[str, Any]) -> None:
    logger = get_logger(f"WORKER-{header['worker']}")
    try:
        engine = _load(header)
        read_head = head_reader(engine.info())
        for outputs in OUTPUTS if read_head else OUTPUTS[:1]:
            _check_finite(engine.run(_batch([4, 3]), outputs))
        rate = _tokens_per_second(engine)
    except Exception as error:
        message = str(error) if isinstance(error, BertFtError) else _describe(error)
        if not isinstance(error, BertFtError):
            logger.exception("the engine did not start")
        channel.send({"event": "failed", "message": message, "replaced": isinstance(error, _ReplacedError)})
        return
    gc.freeze()
    logger.info("ready and listening!")
    channel.send({"event": "ready", "info": {**engine.info(), "tokens_per_second": rate}})
    trim = MemoryTrim()
    while True:
        _answer(channel, engine, read_head, channel.receive(), logger)
        trim()


def _load(header: dict[str, Any]) -> Engine:
    """The engine, with the model whose fingerprint the server has and no other; else BertFtError is raised."""
    options, held = EngineOptions.from_json(header["options"]), header["held"]
    load = engine_class(header["engine"]).load
    try:
        if not held:
            return _unchanged(options.place, header["fingerprint"], lambda: load(options))
        with linked(held, options.place) as place:
            try:
                return _unchanged(place, header["fingerprint"], lambda: load(options.at(place)))
            except BertFtError as error:
                raise BertFtError(_with_real_paths(str(error), place, options)) from None
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def _unchanged(place: ModelPlace, expected: str, load: Callable[[], Engine]) -> Engine:
    """What ``load`` gives, if the model was the expected one before and after."""
    fault: BertFtError | None = None
    if fingerprint(place) == expected:
        try:
            engine = load()
        except BertFtError as error:
            fault = error
        if fingerprint(place) == expected:
            if fault is not None:
                raise fault
            return engine
    raise _ReplacedError(f"{place.tuned_model_dir or place.model_dir}: another model took the place of the one served")


def _with_real_paths(message: str, place: ModelPlace, options: EngineOptions) -> str:
    assert place.tuned_model_dir
    message = message.replace(place.tuned_model_dir, options.tuned_model_dir or options.model_dir)
    return message.replace(place.model_dir, options.model_dir)


def _answer(
    channel: Channel, engine: Engine, read_head: HeadReader | None, message: Message, logger: logging.Logger
) -> None:
    outputs, batch, firsts, counts = read_batch_message(*message)
    try:
        arrays = engine.run(batch, outputs)
        if "head" in arrays and read_head is not None:
            arrays |= read_head(arrays.pop("head"), firsts, counts)
    except Exception as error:
        logger.exception("a batch of %d texts failed", len(batch.lengths))
        if _is_out_of_memory(error):
            channel.send({"event": "failed", "message": "out of memory"})
            os._exit(1)
        channel.send(
            {"event": "error", "message": f"the engine raised {type(error).__name__}; the server's log says more"}
        )
    else:
        channel.send({"event": "result", "names": list(arrays)}, list(arrays.values()))


def _batch(lengths: list[int]) -> PackedBatch:
    return pack([InputFeatures([0] * length, [0] * length, (), [], [], False) for length in lengths])


def _check_finite(arrays: dict[str, np.ndarray]) -> None:
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise BertFtError(
            "the model gives values that are not finite: its weights are broken; serve another checkpoint"
        )


def _tokens_per_second(engine: Engine) -> float:
    """Of a batch large enough that the server can choose the size of others by it."""
    batch = _batch([4] * 64)
    began = time.perf_counter()
    engine.run(batch)
    return len(batch.ids) / max(time.perf_counter() - began, 1e-6)


def _is_out_of_memory(error: Exception) -> bool:
    """The second is TensorFlow's, which engines alone import."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _describe(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
