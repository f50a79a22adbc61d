"""What the constructor makes of server_key= and client_keys=."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq
import zmq.auth
from bert_serving.client import AsyncBertClient, BertClient, ConcurrentBertClient
from bert_serving.client.handshake import handshake_fault
from bert_serving.client.keys import load_keys

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("server", "anna"):
        zmq.auth.create_certificates(tmp_path, name)
    return tmp_path


def test_files_and_text_give_the_same_keys(keys: Path) -> None:
    server = zmq.auth.load_certificate(keys / "server.key")[0]
    pair = zmq.auth.load_certificate(keys / "anna.key_secret")
    for source in (keys / "server.key", str(keys / "server.key"), server, server.decode()):
        assert load_keys(source, keys / "anna.key_secret") == (server, *pair)
    assert load_keys(None, None) is None


def test_without_client_keys_every_client_has_its_own(keys: Path) -> None:
    first, second = (load_keys(keys / "server.key", None) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.server == second.server
    assert first.public == zmq.curve_public(first.secret) != second.public


@pytest.mark.parametrize(
    ("server_key", "client_keys", "fault"),
    [
        (None, "anna.key_secret", '"client_keys" is of no use without "server_key"'),
        ("none.key", None, "neither a file nor a key of 40 characters"),
        ("x" * 39, None, "neither a file nor a key"),
        ("é" * 20, None, "neither a file nor a key"),
        ("server.key", "none.key_secret", '"client_keys".*no key file'),
        ("server.key", "anna.key", "holds no secret key; give the NAME.key_secret file"),
        ("text", None, "no key file"),
        ("short.key", None, "has not 40 characters"),
        (7, None, '"server_key" must be a path or a key, not int'),
        ("server.key", 7, '"client_keys" must be a path, not int'),
    ],
)
@pytest.mark.parametrize("kind", [BertClient, AsyncBertClient, ConcurrentBertClient])
def test_keys_that_cannot_work_are_one_line(
    keys: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, server_key: Any, client_keys: Any, fault: str
) -> None:
    monkeypatch.chdir(keys)
    Path("text").write_text("hello")
    Path("short.key").write_text('metadata\ncurve\n    public-key = "abc"\n')
    with pytest.raises((TypeError, ValueError), match=fault) as caught:
        kind(server_key=server_key, client_keys=client_keys, ignore_all_checks=True)
    assert "\n" not in str(caught.value)


def test_a_server_that_answers_has_no_fault(serve: Callable[..., FakeServer], closed_ports: dict[str, Any]) -> None:
    assert handshake_fault("127.0.0.1", serve().port, None) is None
    assert handshake_fault("127.0.0.1", closed_ports["port"], None) is None


def test_requests_to_what_refuses_the_handshake_never_block(serve: Callable[..., FakeServer], keys: Path) -> None:
    """libzmq gives such a connection up, and a PUSH socket without one blocks."""
    server = serve()
    with BertClient(**server.ports, server_key=keys / "server.key", ignore_all_checks=True, timeout=500) as client:
        for _ in range(20):
            client.encode(["a"], blocking=False)
        with pytest.raises(TimeoutError, match="or it has no keys"):
            client.fetch_all()
        with pytest.raises(TimeoutError, match="or it has no keys"):
            client.encode(["a"])
    assert not server.requests
