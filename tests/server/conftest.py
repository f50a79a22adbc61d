"""A model directory without weights, servers that serve it, clients that are closed again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.dummy import DUMMY
from tests.server.support import POSITIONS, WORDS, RawClient, RunningServer, StartServer, free_ports


def write_model(folder: Path) -> Path:
    """A model directory for the dummy engine."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    config = {
        "vocab_size": len(WORDS),
        "hidden_size": 8,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
    }
    (folder / "bert_config.json").write_text(json.dumps(config))
    for suffix in ("index", "data-00000-of-00001", "meta"):
        (folder / f"bert_model.ckpt.{suffix}").write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def start_server(model_dir: Path) -> Iterator[StartServer]:
    """Start a server with the dummy engine; every one is ended with the module."""
    servers: list[RunningServer] = []

    def start(*flags: str, ready: bool = True, folder: Path = model_dir, **how: Any) -> RunningServer:
        port, port_out = free_ports()
        common = ["-model_dir", str(folder), "-port", str(port), "-port_out", str(port_out), "-engine", DUMMY]
        server = RunningServer([*common, *flags], port, port_out, **how)
        servers.append(server)
        if ready:
            server.wait_for("all set, ready to serve request!")
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.exit_status()


@pytest.fixture
def connect() -> Iterator[Callable[..., RawClient]]:
    clients: list[RawClient] = []

    def make(server: RunningServer, identity: bytes = b"tester", listen: bool = True) -> RawClient:
        clients.append(RawClient(server, identity, listen))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
