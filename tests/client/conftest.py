"""A scripted server that speaks the protocol from bare byte strings, for the tests of the client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import zmq


@dataclass
class Request:
    identity: bytes
    payload: bytes
    id: int
    frames: list[bytes]

    @property
    def texts(self) -> list[Any]:
        return json.loads(self.payload)


class FakeServer:
    """Answers with `vectors`; a script called for each encode request may do otherwise.

    legacy: as 1.10.0 does: no bert_ft_version, frame 0 is the bare identity, replies to absent
    subscribers are lost, anything but four frames is dropped. Otherwise replies are held until the
    subscriber is there, and SHOW_STATE is answered from `forced_states` while there are any, then
    from `known`. While `deaf` every message is dropped.
    """

    def __init__(
        self,
        script: Callable[[FakeServer, Request], None] | None = None,
        legacy: bool = False,
        port: int = 0,
        port_out: int = 0,
        **config: Any,
    ) -> None:
        self.script = script or FakeServer.answer
        self.legacy = legacy
        self.config: dict[str, Any] = {
            "server_version": "1.10.0",
            "max_seq_len": 25,
            "show_tokens_to_client": False,
            "pooling_strategy": 2,
        }
        self.config |= {} if legacy else {"bert_ft_version": "0.1.0"}
        self.config |= config
        self.requests: list[Request] = []
        self.commands: list[bytes] = []
        self.asked: list[int] = []
        self.known: set[tuple[bytes, int]] = set()
        self.forced_states: list[str] = []
        self.deaf = False
        self._context = zmq.Context()
        self._pull = self._context.socket(zmq.PULL)
        self._pub = self._context.socket(zmq.XPUB)
        self._pub.setsockopt(zmq.XPUB_NODROP, 1)
        self._pub.setsockopt(zmq.SNDTIMEO, 5000)
        self.port, self.port_out = (
            self._bind(sock, number) for sock, number in ((self._pull, port), (self._pub, port_out))
        )
        self._listening: set[bytes] = set()
        self._held: list[list[bytes]] = []
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ports(self) -> dict[str, Any]:
        return {"port": self.port, "port_out": self.port_out}

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @staticmethod
    def vectors(texts: list[Any]) -> np.ndarray:
        """Two numbers a text, so that every answer can be told from every other."""
        return np.array([[len(text), sum(map(ord, "".join(text))) % 9973] for text in texts], np.float32)

    def answer(self, request: Request, array: np.ndarray | None = None, **header: Any) -> None:
        vectors = self.vectors(request.texts) if array is None else array
        info = {"dtype": str(vectors.dtype), "shape": list(vectors.shape), "tokens": ""} | header
        self._reply(request, json.dumps(info).encode(), vectors.tobytes())

    def answer_json(self, request: Request, body: Any, **header: Any) -> None:
        task = json.loads(request.frames[4])["task"] if len(request.frames) > 4 else "encode"
        info = {"task": task, "dtype": "bert-ft: JSON", "shape": [0], "tokens": "", "truncated": []} | header
        self._reply(request, json.dumps(info).encode(), body if isinstance(body, bytes) else json.dumps(body).encode())

    def fail(self, request: Request, code: str, message: str) -> None:
        info: dict[str, Any] = {"dtype": "bert-ft: " + message, "shape": [0], "tokens": ""}
        info["error"] = {"code": code, "message": message}
        self._reply(request, json.dumps(info).encode(), b"")

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Run `action` on the server's thread after some time."""
        self._timers.append((time.monotonic() + seconds, action))

    def publish(self, frames: list[bytes]) -> None:
        identity = frames[0].rstrip(b"\0")
        if self.legacy or identity in self._listening:
            self._pub.send_multipart(frames)
        else:
            self._held.append(frames)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _reply(self, request: Request, *middle: bytes) -> None:
        topic = request.identity + (b"" if self.legacy else b"\0")
        self.publish([topic, *middle, b"%d" % request.id])
        self.known.discard((request.identity, request.id))

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._pull, zmq.POLLIN)
        poller.register(self._pub, zmq.POLLIN)
        while not self._stop.is_set():
            for sock, _ in poller.poll(5):
                if sock is self._pull:
                    self._take(self._pull.recv_multipart())
                else:
                    self._subscription(self._pub.recv())
            due = [timer for timer in self._timers if timer[0] <= time.monotonic()]
            for timer in due:
                self._timers.remove(timer)
                timer[1]()
        self._context.destroy(linger=0)

    def _subscription(self, message: bytes) -> None:
        if message[:1] == b"\x01":
            self._listening.add(message[1:])
            held, self._held = self._held, []
            for frames in held:
                self.publish(frames)
        else:
            self._listening.discard(message[1:])

    def _take(self, frames: list[bytes]) -> None:
        if self.deaf or (self.legacy and len(frames) != 4):
            self.commands.append(b"dropped")
            return
        request = Request(frames[0], frames[1], int(frames[2]), frames)
        if request.payload == b"SHOW_STATE":
            asked = json.loads(frames[4])["request"]
            self.asked.append(asked)
            state = "waiting" if (request.identity, asked) in self.known else "unknown"
            state = self.forced_states.pop(0) if self.forced_states else state
            self._reply(request, json.dumps({"request": asked, "state": state}).encode())
        elif request.payload in (b"SHOW_CONFIG", b"SHOW_STATUS"):
            self.commands.append(request.payload)
            info: dict[str, Any] = dict(self.config)
            if request.payload == b"SHOW_STATUS":
                info["statistic"] = {"num_data_request": len(self.requests)}
            self._reply(request, json.dumps(info).encode())
        else:
            self.requests.append(request)
            self.known.add((request.identity, request.id))
            self.script(self, request)

    @staticmethod
    def _bind(sock: zmq.Socket[bytes], port: int) -> int:
        if port == 0:
            return sock.bind_to_random_port("tcp://127.0.0.1")
        sock.bind(f"tcp://127.0.0.1:{port}")
        return port


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    """Start fake servers, `serve(script, **options)`, and stop them after the test."""
    servers: list[FakeServer] = []

    def start(*args: Any, **kwargs: Any) -> FakeServer:
        servers.append(FakeServer(*args, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def closed_ports() -> dict[str, Any]:
    """Two ports on which nothing listens."""
    context = zmq.Context()
    sockets = [context.socket(zmq.PULL) for _ in range(2)]
    first, second = (sock.bind_to_random_port("tcp://127.0.0.1") for sock in sockets)
    context.destroy(linger=0)
    return {"port": first, "port_out": second}
