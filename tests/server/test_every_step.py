"""Whatever is raised on a request's way, the request gets an answer or an error, and the next one is answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bert_serving.server import BertServer
from bert_serving.server.batching import batch_size, batcher
from bert_serving.server.frontends.http import legacy as http_door
from bert_serving.server.frontends.http import reply as http_reply
from bert_serving.server.frontends.http import request as http_request
from bert_serving.server.frontends.zmq import frontend, in_flight, outbox, subscribers
from bert_serving.server.frontends.zmq import request as zmq_request
from bert_serving.server.frontends.zmq import sender as zmq_sender
from bert_serving.server.helper import get_args_parser
from bert_serving.server.monitoring import statistic
from bert_serving.server.tasks import encode
from bert_serving.server.workers import channel, dispatcher, supervisor
from bert_serving.server.workers import process as worker_process

from tests.engines.dummy import DUMMY
from tests.server.support import IDS, RawClient, expected, free_ports, wait_until
from tests.server.test_http import call

ZMQ_ONLY: list[tuple[Any, str]] = [
    (frontend, "parse_texts"),
    (frontend, "answer_frames"),
    (frontend.ZmqFrontend, "_begin"),
    (zmq_request.Request, "check"),
    (zmq_request.Request, "extra"),
    (in_flight.InFlight, "start"),
    (subscribers.Subscribers, "look_at"),
    (outbox.Outbox, "put"),
    (outbox.Outbox, "full"),
    (zmq_sender.Sender, "__call__"),
]
HTTP_ONLY: list[tuple[Any, str]] = [
    (http_door, "check_headers"),
    (http_door, "parse_request"),
    (http_door, "answer_json"),
    (http_request, "parse_object"),
    (http_reply.Outgoing, "reply"),
]
SHARED: list[tuple[Any, str]] = [
    (statistic.Statistic, "add_data_request"),
    (encode.Encode, "prepare"),
    (encode.Encode, "job"),
    (encode.VectorsJob, "add"),
    (encode.VectorsJob, "put"),
    (encode.VectorsJob, "_store"),
    (encode.VectorsJob, "result"),
    (batcher.Batcher, "add"),
    (batcher.Batcher, "take"),
    (batcher._Queue, "take"),
    (encode.VectorsJob, "read"),
    (dispatcher, "_shares"),
    (dispatcher.Dispatcher, "submit"),
    (dispatcher.Dispatcher, "_set_budgets"),
    (dispatcher.Dispatcher, "end"),
    (batch_size.BatchSize, "learn"),
    (supervisor.Worker, "run"),
    (supervisor.Worker, "_on_message"),
    (supervisor.Worker, "_on_answer"),
    (worker_process, "batch_message"),
    (worker_process.WorkerProcess, "run"),
    (channel.Channel, "send"),
    (channel.Channel, "receive"),
]
AFTER_A_DEATH: list[tuple[Any, str]] = [
    (dispatcher.Dispatcher, "_split_or_fail"),
    (dispatcher.Dispatcher, "on_ready"),
    (batcher.Batcher, "add_again"),
    (batcher.Batcher, "discard"),
    (supervisor.Worker, "_on_exit"),
    (supervisor.Worker, "_start_again"),
    (supervisor.Worker, "start"),
]


@pytest.fixture(scope="module")
def ports(model_dir: Path) -> Iterator[SimpleNamespace]:
    """A server in this process, so that its parts can be made to fail."""
    port, port_out, http_port = free_ports(3)
    arguments = ["-model_dir", str(model_dir), "-engine", DUMMY, "-port", str(port), "-port_out", str(port_out)]
    arguments += ["-http_port", str(http_port), "-engine_option", f"crash_id={IDS['z']}"]
    with BertServer(get_args_parser().parse_args(arguments)):
        yield SimpleNamespace(port=port, port_out=port_out, http_port=http_port)


@pytest.fixture
def raw(ports: Any) -> Iterator[RawClient]:
    client = RawClient(ports, b"tester")
    client.ask(b"SHOW_CONFIG")
    yield client
    client.close()


@contextlib.contextmanager
def raising_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Iterator[None]:
    """Its first call raises; there must be one."""
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []

    def fail(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError("made to fail by a test")
        return original(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield
        wait_until(lambda: bool(calls))


def check_untouched(ports: Any, raw: RawClient) -> None:
    """Nothing waits, and both doors answer."""
    wait_until(lambda: raw.ask(b"SHOW_STATUS", 901)["queue"]["waiting_requests"] == 0)
    assert raw.ask(b"SHOW_STATUS", 902)["queue"]["waiting_sequences"] == 0
    raw.send(["a b"], 2)
    number, vectors, _ = raw.vectors()
    assert number == 2
    np.testing.assert_allclose(vectors, expected(["a b"]), atol=1e-6)
    status, answer, _ = call(ports.http_port, "/encode", {"id": 2, "texts": ["a b"]})
    assert status == 200
    np.testing.assert_allclose(answer["result"], expected(["a b"]), atol=1e-6)


def name_of(step: Any) -> str:
    return step if isinstance(step, str) else step.__name__


@pytest.mark.parametrize(("owner", "name"), [*SHARED, *ZMQ_ONLY], ids=name_of)
def test_zmq(ports: Any, raw: RawClient, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    with raising_once(monkeypatch, owner, name):
        raw.send(["a b", "c"], 1)
        frames = raw.receive(30)
    header = json.loads(frames[1])
    assert frames[-1] == b"1"
    if "error" in header:
        assert header["error"]["code"] == "internal"
    else:
        vectors = np.frombuffer(frames[2], header["dtype"]).reshape(header["shape"])
        np.testing.assert_allclose(vectors, expected(["a b", "c"]), atol=1e-6)
    assert raw.silent(0.1)
    check_untouched(ports, raw)


@pytest.mark.parametrize(("owner", "name"), [*SHARED, *HTTP_ONLY], ids=name_of)
def test_http(ports: Any, raw: RawClient, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    with raising_once(monkeypatch, owner, name):
        status, answer, _ = call(ports.http_port, "/encode", {"id": 1, "texts": ["a b", "c"]})
    if status == 200:
        np.testing.assert_allclose(answer["result"], expected(["a b", "c"]), atol=1e-6)
    else:
        assert (status, answer["type"]) == (500, "internal")
    check_untouched(ports, raw)


@pytest.mark.parametrize(("owner", "name"), AFTER_A_DEATH, ids=name_of)
def test_after_a_death(ports: Any, raw: RawClient, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """The text z kills its worker, three times at most."""
    with raising_once(monkeypatch, owner, name):
        raw.send(["z"], 1)
        assert raw.error(60)[1]["code"] in ("engine_failed", "internal")
    check_untouched(ports, raw)


def test_a_request_that_goes_astray_is_found(
    ports: Any, raw: RawClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that is taken from the queue and given to nobody: no exception says so."""
    with monkeypatch.context() as patch:
        taken: list[Any] = []
        original = batcher.Batcher.take

        def lose(self: batcher.Batcher) -> Any:
            batch = original(self)
            if batch is not None and not taken:
                taken.append(batch)
                return None
            return batch

        patch.setattr(batcher.Batcher, "take", lose)
        raw.send(["a b"], 1)
        assert raw.error(30)[1]["code"] == "internal"
        assert taken
    check_untouched(ports, raw)
