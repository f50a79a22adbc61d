"""What a peer of another machine is told and may do. Here every peer is taken for one."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bert_serving.client import BertClient
from bert_serving.server import BertServer
from bert_serving.server.commands.keygen import write_keys
from bert_serving.server.frontends.http import legacy as http_door
from bert_serving.server.frontends.zmq import frontend as zmq_door
from bert_serving.server.helper import get_args_parser

from tests.engines.dummy import DUMMY
from tests.server.support import StartServer, expected, free_ports
from tests.server.test_http import call

LEGACY_CLIENT_READS = {"server_version", "max_seq_len", "show_tokens_to_client", "pooling_strategy"}


class Strange(NamedTuple):
    """A running server, what its client needs, and whether that client's key was admitted by name."""

    server: BertServer
    client: dict[str, Any]
    http_port: int
    admitted: bool


@contextlib.contextmanager
def strange_server(kind: str, model_dir: Path, folder: Path) -> Iterator[Strange]:
    (folder / "clients").mkdir()
    write_keys(folder / "server")
    write_keys(folder / "clients" / "anna")
    flags = {
        "no keys": [],
        "a server key": ["-curve_secret_key_file", str(folder / "server.key_secret")],
        "named clients": [
            *("-curve_secret_key_file", str(folder / "server.key_secret")),
            *("-curve_client_keys", str(folder / "clients")),
        ],
    }[kind]
    port, port_out, http_port = free_ports(3)
    arguments: dict[str, Any] = {"port": port, "port_out": port_out}
    if flags:
        arguments |= {"server_key": folder / "server.key", "client_keys": folder / "clients" / "anna.key_secret"}
    common = ["-model_dir", str(model_dir), "-engine", DUMMY, "-http_port", str(http_port)]
    args = get_args_parser().parse_args([*common, "-port", str(port), "-port_out", str(port_out), *flags])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zmq_door, "is_loopback", lambda address: False)
        patch.setattr(http_door, "is_loopback", lambda address: False)
        with BertServer(args) as server:
            yield Strange(server, arguments, http_port, kind == "named clients")


@pytest.fixture(scope="module", params=["no keys", "a server key", "named clients"])
def strange(
    request: pytest.FixtureRequest, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Strange]:
    with strange_server(request.param, model_dir, tmp_path_factory.mktemp("strangers")) as server:
        yield server


def tells(answer: dict[str, Any]) -> str:
    return json.dumps(answer)


def test_paths_and_versions_are_for_admitted_keys(strange: Strange, model_dir: Path) -> None:
    trusted = strange.admitted
    with BertClient(**strange.client) as client:
        for answer in (client.server_config, client.server_status):
            assert set(answer) >= LEGACY_CLIENT_READS | {"bert_ft_version", "ready", "dim", "tasks"}
            assert answer["server_version"] == "1.10.0"
            details = {"model_dir", "python_version", "zmq_version", "curve_secret_key_file", "num_process"}
            assert details <= set(answer) if trusted else not details & set(answer)
            assert (str(model_dir) in tells(answer)) is trusted
        assert ("workers" in client.server_status) is trusted
        assert client.encode(["a b"]) == pytest.approx(expected(["a b"]), abs=1e-5)


def test_http_tells_a_stranger_no_more(strange: Strange, model_dir: Path) -> None:
    status, answer, _ = call(strange.http_port, "/status/server")
    assert status == 200
    assert answer["server_version"] == "1.10.0"
    assert "statistic" in answer
    assert not {"model_dir", "python_version", "workers"} & set(answer)
    assert str(model_dir) not in tells(answer)


@pytest.mark.parametrize("kind", ["no keys", "a server key", "named clients"])
def test_only_an_admitted_key_stops_the_server(kind: str, model_dir: Path, tmp_path: Path) -> None:
    with strange_server(kind, model_dir, tmp_path) as strange, BertClient(**strange.client) as client:
        client._connection.send_all(deque([[client.identity, b"TERMINATION", b"77", b"0"]]))
        if strange.admitted:
            strange.server.join(30)
            assert not strange.server.is_alive()
            return
        assert client._connection.receiver.poll(15_000)
        frames = client._connection.receiver.recv_multipart()
        assert frames[-1] == b"77"
        assert "own machine or with an admitted key" in json.loads(frames[1])["error"]["message"]
        assert client.encode(["a"]).shape == (1, 8)


class _Kept(logging.Handler):
    """Keeps the server's lines by itself: whoever else listens to its logger, a line counts once."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> _Kept:
        logging.getLogger("bert_serving").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("bert_serving").removeHandler(self)


def test_a_stranger_cannot_fill_the_log_with_it(model_dir: Path, tmp_path: Path) -> None:
    with (
        strange_server("no keys", model_dir, tmp_path) as strange,
        BertClient(**strange.client) as client,
        _Kept() as kept,
    ):
        began = int(time.monotonic())
        frames = [[client.identity, b"TERMINATION", b"%d" % number, b"0"] for number in range(100, 400)]
        client._connection.send_all(deque(frames))
        for _ in frames:
            assert client._connection.receiver.poll(15_000)
            client._connection.receiver.recv_multipart()
        seconds = int(time.monotonic()) - began + 1
    lines = [line for line in kept.lines if "refused" in line]
    assert any("TERMINATION from" in line for line in lines)
    assert len(lines) <= 10 * seconds


def test_a_web_page_is_a_stranger_though_its_browser_runs_here(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    start_server("-http_port", str(port))
    assert "model_dir" in call(port, "/status/server")[1]
    assert "model_dir" not in call(port, "/status/server", None, {"Origin": "http://example.org"})[1]
    rebound = urllib.request.Request(f"http://127.0.0.1:{port}/status/server", headers={"Host": "example.org"})
    with urllib.request.urlopen(rebound, timeout=20) as reply:
        assert "model_dir" not in json.loads(reply.read())


def test_the_default_is_this_machines_own_address_alone(start_server: StartServer) -> None:
    """127.0.0.2 is as good as another machine's address: it reaches what listens everywhere, and nothing else."""
    (http_port,) = free_ports(1)
    for flags, is_open in (([], False), (["-host", "0.0.0.0"], True)):
        server = start_server("-http_port", str(http_port), *flags)
        for port in (server.port, server.port_out, http_port):
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            if is_open:
                socket.create_connection(("127.0.0.2", port), timeout=10).close()
            else:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.2", port), timeout=10)
        assert server.end() == 0


@pytest.mark.parametrize(
    ("flags", "warnings"),
    [
        ([], ["can use this server: there are no keys"]),
        (["http"], ["can use this server: there are no keys", "can use the HTTP door {port}: there are no keys"]),
        (["http", "http keys", "keys"], ["can read what goes through the HTTP door {port}"]),
        (["keys"], []),
    ],
)
def test_a_public_bind_without_keys_is_warned_of(
    start_server: StartServer, tmp_path: Path, flags: list[str], warnings: list[str]
) -> None:
    (port,) = free_ports(1)
    write_keys(tmp_path / "server")
    (tmp_path / "http").write_text("0123456789abcdef\n")
    arguments = {
        "http": ["-http_port", str(port)],
        "http keys": ["-http_key_file", str(tmp_path / "http")],
        "keys": ["-curve_secret_key_file", str(tmp_path / "server.key_secret")],
    }
    server = start_server("-host", "0.0.0.0", *(word for flag in flags for word in arguments[flag]))
    found = [line for line in server.lines if line.startswith("W:")]
    assert len(found) == len(warnings), found
    for line, warning in zip(found, warnings, strict=True):
        assert "-host 0.0.0.0: every machine that can reach it" in line
        assert warning.format(port=port) in line
