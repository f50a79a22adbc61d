"""A client that does not read its answers: no worker and no thread works for it, and no answer of it is dropped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import zmq
from bert_serving.client.wire import topic_of
from bert_serving.server.answering import Answering
from bert_serving.server.frontends.zmq.frontend import ZmqFrontend
from bert_serving.server.frontends.zmq.sender import Sender
from bert_serving.server.limits import Limits
from bert_serving.server.models.served_model import ServedModel
from bert_serving.server.options import ServerOptions
from bert_serving.server.process.descriptors import Spare
from bert_serving.server.tasks.registry import TaskRequest

from bert_ft.pooling_strategy import PoolingStrategy
from tests.engines.dummy import DUMMY
from tests.server.support import free_ports, wait_until


def served_model(model_dir: Path) -> ServedModel:
    options = ServerOptions(model_dir=str(model_dir), engine=DUMMY, pooling_strategy=PoolingStrategy.NONE)
    return ServedModel.open(options, Spare(0))


def test_a_paused_client_gets_no_worker_and_no_joined_rows(model_dir: Path) -> None:
    """Its request that was being worked on waits too: padded, its rows may take many times the memory."""

    async def main() -> None:
        served = served_model(model_dir)
        dispatcher = served.dispatcher
        answering = Answering(Mock(current=served), served.settings.options, Limits())
        answering.ready.set()
        dispatcher.supervisor.workers[0].info = {"dim": 8}
        dispatcher.on_ready(dispatcher.supervisor.workers[0])

        def ask() -> asyncio.Task[Any]:
            return asyncio.create_task(answering.answer(b"slow", TaskRequest(), lambda: ["a b"], 9))

        async def queued() -> None:
            while not len(dispatcher.batcher):
                await asyncio.sleep(0.01)

        first = ask()
        await queued()
        batch = dispatcher.batcher.take()
        assert batch is not None
        dispatcher.pause(b"slow", True)
        second = ask()
        await queued()
        assert dispatcher.batcher.take() is None
        worker: Any = Mock(seconds=0.1)
        dispatcher.on_result(worker, batch, {"encode": np.ones((4, 8), np.float32)})
        done, _ = await asyncio.wait([first], timeout=0.3)
        assert not done
        dispatcher.pause(b"slow", False)
        assert (await asyncio.wait_for(first, 10)).vectors.sum() == 32
        assert dispatcher.batcher.take() is not None
        second.cancel()
        answering.close()
        await served.stop()

    asyncio.run(main())


def test_large_answers_do_not_pile_up_in_the_socket() -> None:
    """Its own bound counts messages, whatever their size."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    replies, reader = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    replies.setsockopt(zmq.XPUB_NODROP, 1)
    replies.setsockopt(zmq.SNDHWM, 64)
    reader.setsockopt(zmq.RCVHWM, 1)
    reader.setsockopt(zmq.SUBSCRIBE, b"")
    reader.connect(f"tcp://127.0.0.1:{replies.bind_to_random_port('tcp://127.0.0.1')}")
    assert replies.poll(10_000)
    replies.recv()
    full: list[bool] = []
    limit, size, sent = Limits().zmq_max_socket_bytes, 4 << 20, 0
    send = Sender(replies, limit, lambda: full.append(True))
    try:
        while not full:
            wait_until(lambda: bool(replies.poll(0, zmq.POLLOUT)))
            sent += send([b"topic", b"%d" % sent, bytes(size)])
        assert limit <= sent * size < 2 * limit
        for number in range(sent):
            assert reader.poll(10_000)
            assert reader.recv_multipart()[1] == b"%d" % number
        wait_until(lambda: send([b"topic", b"more", bytes(size)]))
    finally:
        context.destroy(linger=0)


def test_an_answer_to_a_connection_that_has_just_ended_is_held() -> None:
    """libzmq drops it when it knows of the end, and says so only later."""

    async def main() -> None:
        service = Mock(answering=Mock(limits=Limits()))
        port, port_out = free_ports()
        frontend = ZmqFrontend(ServerOptions("model", port=port, port_out=port_out), service)
        frontend.open()
        frontend.start()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

        def listen() -> zmq.Socket[bytes]:
            reader = context.socket(zmq.SUB)
            reader.setsockopt(zmq.SUBSCRIBE, b"gone")
            reader.connect(f"tcp://127.0.0.1:{port_out}")
            return reader

        async def until(condition: Any) -> None:
            for _ in range(1000):
                if condition():
                    return
                await asyncio.sleep(0.01)
            raise AssertionError

        first = listen()
        await until(lambda: frontend.status()["listening_identities"] == 1)
        (peer,) = frontend._subscribers._subscribers[topic_of(b"gone")]
        first.close()
        wait_until(lambda: not peer.is_open)  # the loop does not run meanwhile, so that it has not been told
        frontend._reply(topic_of(b"gone"), [b"for who comes back"])
        assert frontend.status()["waiting_reply_bytes"] > 0
        second = listen()
        await until(lambda: second.poll(0))
        assert second.recv_multipart()[1] == b"for who comes back"
        await frontend.close()
        context.destroy(linger=0)

    asyncio.run(main())
