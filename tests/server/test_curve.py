"""A server with CURVE keys: who gets in, and what one client can do to another."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.auth
from bert_serving.client import AsyncBertClient, BertClient, ConcurrentBertClient
from bert_serving.server.commands.keygen import write_keys
from bert_serving.server.frontends.zmq.curve import ClientFolder

from tests.server.support import RunningServer, StartServer, expected, wait_until
from tests.server.test_life import terminate

Keys = dict[str, Any]


class KeyedClient:
    """Frames by hand, with the keys of one client."""

    def __init__(self, server: RunningServer, keys: Keys, identity: bytes) -> None:
        self.identity = identity
        public, secret = zmq.auth.load_certificate(keys["client_keys"])
        assert secret is not None
        self.public, self._secret = public, secret
        self._server_key = zmq.auth.load_certificate(keys["server_key"])[0]
        self.server = server
        self.context = zmq.Context()
        self.push = self._socket(zmq.PUSH, server.port)

    def listen(self, topic: bytes | None = None) -> zmq.Socket[bytes]:
        own = self.identity + b"\0" + self.public
        return self._socket(zmq.SUB, self.server.port_out, own if topic is None else topic)

    def send(self, payload: bytes, number: int, identity: bytes | None = None, count: int = 1) -> None:
        self.push.send_multipart([identity or self.identity, payload, b"%d" % number, b"%d" % count])

    def _socket(self, kind: int, port: int, topic: bytes | None = None) -> zmq.Socket[bytes]:
        one = self.context.socket(kind)
        one.curve_serverkey, one.curve_publickey, one.curve_secretkey = self._server_key, self.public, self._secret
        if topic is not None:
            one.setsockopt(zmq.SUBSCRIBE, topic)
        one.connect(f"tcp://127.0.0.1:{port}")
        return one


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """server.key, anna.key, bob.key, eve.key and their secrets; anna and bob are admitted in clients/."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "clients").mkdir()
    for name in ("server", "anna", "bob", "eve"):
        write_keys(folder / name)
    for name in ("anna", "bob"):
        (folder / "clients" / f"{name}.key").write_bytes((folder / f"{name}.key").read_bytes())
    return folder


def keys_of(folder: Path, name: str) -> Keys:
    return {"server_key": str(folder / "server.key"), "client_keys": str(folder / f"{name}.key_secret")}


@pytest.fixture(scope="module")
def server(start_server: StartServer, keys: Path) -> RunningServer:
    flags = ["-engine_option", "sleep_id=29", "-engine_option", "sleep_seconds=0.5"]  # "z" takes half a second
    return start_server(
        "-curve_secret_key_file", str(keys / "server.key_secret"), "-curve_client_keys", str(keys / "clients"), *flags
    )


@pytest.fixture
def by_hand(server: RunningServer, keys: Path) -> Iterator[Callable[[str, bytes], KeyedClient]]:
    clients: list[KeyedClient] = []

    def make(name: str, identity: bytes) -> KeyedClient:
        clients.append(KeyedClient(server, keys_of(keys, name), identity))
        return clients[-1]

    yield make
    for client in clients:
        client.context.destroy(linger=0)


def ports(server: RunningServer) -> dict[str, Any]:
    return {"port": server.port, "port_out": server.port_out}


def test_admitted_clients_of_every_kind_are_answered(server: RunningServer, keys: Path) -> None:
    arguments = {**ports(server), **keys_of(keys, "anna")}
    with BertClient(**arguments) as client:
        np.testing.assert_allclose(client.encode(["a b"]), expected(["a b"]), atol=1e-6)
        assert client.server_status["server_version"] == "1.10.0"
    with ConcurrentBertClient(2, **arguments) as pool:
        np.testing.assert_allclose(pool.encode(["c"]), expected(["c"]), atol=1e-6)

    async def ask() -> np.ndarray:
        async with AsyncBertClient(**arguments) as client:
            return await client.encode(["d e"])

    np.testing.assert_allclose(asyncio.run(ask()), expected(["d e"]), atol=1e-6)


def test_a_key_as_text_is_as_good_as_its_file(server: RunningServer, keys: Path) -> None:
    key = zmq.auth.load_certificate(keys / "server.key")[0].decode()
    secret = str(keys / "bob.key_secret")
    with BertClient(**ports(server), server_key=key, client_keys=secret) as client:
        assert client.encode(["a"]).shape == (1, 8)


@pytest.mark.parametrize(
    ("server_key", "client_keys", "reason"),
    [
        (None, None, "it has keys and answers only with the right one, so give its public key as server_key"),
        ("server", None, "answers only with the right one, and refuses this client's: give the client_keys"),
        ("server", "eve", r"-curve_client_keys folder \(this client's is .{40}\)$"),
        ("eve", "anna", "a server with keys answers only with the right one, and server_key is not its public key"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "asyncio"])
def test_a_stranger_is_told_that_it_is_the_key(
    server: RunningServer, keys: Path, kind: str, server_key: str | None, client_keys: str | None, reason: str
) -> None:
    arguments: dict[str, Any] = {**ports(server), "timeout": 600}
    if server_key:
        arguments["server_key"] = keys / f"{server_key}.key"
    if client_keys:
        arguments["client_keys"] = keys / f"{client_keys}.key_secret"

    async def enter() -> None:
        async with AsyncBertClient(**arguments):
            pass

    with pytest.raises(TimeoutError, match=reason) as caught:
        BertClient(**arguments) if kind == "plain" else asyncio.run(enter())
    assert "\n" not in str(caught.value)


def test_keys_for_a_server_that_has_none(start_server: StartServer, keys: Path) -> None:
    plain = start_server()
    with pytest.raises(TimeoutError, match="or it has no keys"):
        BertClient(**ports(plain), **keys_of(keys, "anna"), timeout=600)


def test_a_key_put_into_the_folder_is_admitted_and_one_taken_out_is_not(server: RunningServer, keys: Path) -> None:
    late = keys / "clients" / "late.key"
    write_keys(keys / "late")
    late.write_bytes((keys / "late.key").read_bytes())
    (keys / "clients" / "broken.key").write_text("nothing of that kind")
    with BertClient(**ports(server), **keys_of(keys, "late")) as client:
        assert client.encode(["a"]).shape == (1, 8)
    late.unlink()
    with pytest.raises(TimeoutError, match="refuses this client's"):
        BertClient(**ports(server), **keys_of(keys, "late"), timeout=600)
    server.wait_for("broken.key: no key file")


def test_a_folder_that_cannot_be_read_admits_nobody_and_ends_nothing(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the callback raised would end the thread that answers all handshakes."""
    shutil.copy(keys / "anna.key", tmp_path)
    folder, anna = ClientFolder(tmp_path), zmq.auth.load_certificate(keys / "anna.key")[0]
    (tmp_path / "gone.key").symlink_to(tmp_path / "nowhere")
    assert folder.callback("", anna)
    with monkeypatch.context() as patch:

        def unreadable(self: Path, pattern: str) -> Iterator[Path]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(Path, "glob", unreadable)
        assert not folder.callback("", anna)
    assert folder.callback("", anna)


def test_no_topic_but_ones_own_hears_the_answers_of_another(
    by_hand: Callable[[str, bytes], KeyedClient],
) -> None:
    anna, bob = by_hand("anna", b"anna"), by_hand("bob", b"bob")
    own = b"anna\0" + anna.public
    topics = (b"", b"anna", b"anna\0", own[:-1], own, b"anna\0" + bob.public, b"\0" + bob.public)
    spies = [bob.listen(topic) for topic in topics]
    listening = anna.listen()
    bob.send(b"SHOW_CONFIG", 1)
    assert bob.listen().poll(15_000)  # by now the spies' subscriptions have been read
    anna.send(b'["z"]', 5)
    assert listening.poll(15_000)
    assert listening.recv_multipart()[0] == own
    assert not any(spy.poll(100) for spy in spies)


def test_requests_in_anothers_name_reach_nobody(by_hand: Callable[[str, bytes], KeyedClient]) -> None:
    """Else the victim would take an answer to the spoofer's texts for one to its own request of that number."""
    anna, bob = by_hand("anna", b"anna"), by_hand("bob", b"bob")
    listening = anna.listen()
    anna.send(b'["z"]', 5)
    for payload in (b'["q"]', b'["', b"SHOW_CONFIG"):
        bob.send(payload, 5, b"anna")
    bob.send(b"SHOW_CONFIG", 6)
    assert bob.listen().poll(15_000)
    assert listening.poll(15_000)
    _, header, body, number = listening.recv_multipart()
    assert number == b"5"
    shape = json.loads(header)["shape"]
    np.testing.assert_allclose(np.frombuffer(body, np.float32).reshape(shape), expected(["z"]), atol=1e-6)
    assert not listening.poll(200)


def test_two_keys_may_have_one_identity(by_hand: Callable[[str, bytes], KeyedClient]) -> None:
    clients = {"a b": by_hand("anna", b"same"), "c": by_hand("bob", b"same")}
    listening = {text: client.listen() for text, client in clients.items()}
    for text, client in clients.items():
        client.send(json.dumps([text]).encode(), 1)
    for text, one in listening.items():
        assert one.poll(15_000)
        np.testing.assert_allclose(np.frombuffer(one.recv_multipart()[2], np.float32), expected([text])[0], atol=1e-6)
        assert not one.poll(100)


def test_an_answer_that_waits_is_kept_for_the_key_that_asked(by_hand: Callable[[str, bytes], KeyedClient]) -> None:
    anna, bob = by_hand("anna", b"later"), by_hand("bob", b"later")
    anna.send(b'["a"]', 3)
    thief = bob.listen()
    bob.send(b"SHOW_CONFIG", 4)
    assert thief.poll(15_000)
    assert thief.recv_multipart()[-1] == b"4"
    assert not thief.poll(200)
    own = anna.listen()
    assert own.poll(15_000)
    assert own.recv_multipart()[-1] == b"3"


def test_without_a_folder_every_client_that_knows_the_server_key_may_come(
    start_server: StartServer, keys: Path
) -> None:
    server = start_server("-curve_secret_key_file", str(keys / "server.key_secret"))
    for client_keys in (None, keys / "eve.key_secret"):
        with BertClient(**ports(server), server_key=keys / "server.key", client_keys=client_keys) as client:
            assert client.encode(["a"]).shape == (1, 8)
    with pytest.raises(TimeoutError, match="it has keys and answers only"):
        BertClient(**ports(server), timeout=600)
    refused = terminate("-port", str(server.port), "-port_out", str(server.port_out), "-timeout", "8000")
    assert refused.returncode == 1
    assert "it has keys and answers only" in refused.stderr
    arguments = ["-port", str(server.port), "-port_out", str(server.port_out), "-server_key", str(keys / "server.key")]
    done = terminate(*arguments, "-client_keys", str(keys / "anna.key_secret"))
    assert done.returncode == 0, done.stderr
    assert server.exit_status() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-curve_secret_key_file", "{keys}/none.key_secret"], "none.key_secret: cannot be read"),
        (["-curve_secret_key_file", "{keys}/server.key"], "server.key: holds no secret key"),
        (["-curve_client_keys", "{keys}/clients"], "-curve_client_keys needs -curve_secret_key_file"),
        (
            ["-curve_secret_key_file", "{keys}/server.key_secret", "-curve_client_keys", "{keys}/none"],
            "none: no such directory",
        ),
        (
            ["-curve_secret_key_file", "{keys}/server.key_secret", "-curve_client_keys", "{empty}"],
            "no NAME.key file in it, so nobody could connect",
        ),
    ],
)
def test_keys_that_cannot_work_stop_the_start(
    start_server: StartServer, keys: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    server = start_server(*(flag.format(keys=keys, empty=tmp_path) for flag in flags), ready=False)
    assert server.exit_status() == 1
    assert message in server.lines[-1]
    assert server.lines[-1].startswith("error: ")
    assert "Traceback" not in server.log


def test_a_secret_that_others_may_read_is_warned_of(start_server: StartServer, keys: Path, tmp_path: Path) -> None:
    secret = tmp_path / "loose.key_secret"
    secret.write_bytes((keys / "server.key_secret").read_bytes())
    secret.chmod(0o644)
    server = start_server("-curve_secret_key_file", str(secret), ready=False)
    server.wait_for("loose.key_secret: other users may read it; run chmod 600")
    wait_until(lambda: "all set" in server.log)


@pytest.mark.parametrize("flag", ["-port", "-port_out", "-http_port"])
def test_a_busy_port_ends_a_server_with_keys_too(
    server: RunningServer, start_server: StartServer, keys: Path, flag: str
) -> None:
    flags = ["-curve_secret_key_file", str(keys / "server.key_secret"), flag, str(server.port)]
    second = start_server(*flags, ready=False)
    assert second.exit_status() == 1
    assert f"port {server.port} ({flag})" in second.lines[-1]
