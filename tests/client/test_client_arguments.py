from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bert_serving.client import BertClient

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer


@pytest.mark.parametrize(
    ("texts", "is_tokenized", "error"),
    [
        ("a text", False, TypeError),
        (("a", "b"), False, TypeError),
        (np.array(["a"]), False, TypeError),
        ([], False, ValueError),
        (["a", 1], False, TypeError),
        (["a", b"b"], False, TypeError),
        (["a", ""], False, ValueError),
        (["a", " \t\n"], False, ValueError),
        ([["a"]], False, TypeError),
        (["a"], True, TypeError),
        ([], True, ValueError),
        ([["a"], []], True, ValueError),
        ([["a", " "]], True, ValueError),
        ([("a",)], True, TypeError),
    ],
)
def test_texts_that_cannot_be_encoded(
    serve: Callable[..., FakeServer], texts: Any, is_tokenized: bool, error: type[Exception]
) -> None:
    server = serve()
    with BertClient(**server.ports) as client:
        with pytest.raises(error) as caught:
            client.encode(texts, is_tokenized=is_tokenized)
        assert "\n" not in str(caught.value)
        assert client.encode(["fine"]).shape == (1, 2)
    assert [request.texts for request in server.requests] == [["fine"]]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"output_fmt": "tensor"}, AttributeError),
        ({"identity": ""}, ValueError),
        ({"identity": b""}, ValueError),
        ({"identity": "a\0b"}, ValueError),
        ({"identity": 7}, TypeError),
        ({"port": "5555"}, TypeError),
        ({"port_out": 70000}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -5}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"ip": None}, TypeError),
        ({"ip": "two words"}, ValueError),
    ],
)
def test_constructor_arguments_that_cannot_work(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))) as caught:
        BertClient(**{"ignore_all_checks": True, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("identity", ["anna", b"anna", "阿娜"])
def test_identity_as_text_or_bytes(serve: Callable[..., FakeServer], identity: str | bytes) -> None:
    server = serve()
    raw = identity.encode() if isinstance(identity, str) else identity
    with BertClient(identity=identity, **server.ports) as client:
        client.encode(["x"])
        assert client.status["identity"] == raw
    assert server.requests[0].identity == raw


def test_legacy_positional_order(serve: Callable[..., FakeServer]) -> None:
    server = serve()
    client = BertClient("127.0.0.1", server.port, server.port_out, "list", False, b"me", True, True, True, False, 5000)
    with client:
        assert client.encode(["ab"]) == [[2.0, 195.0]]
        status = client.status
    assert status == {
        "identity": b"me",
        "num_request": 2,
        "num_pending_request": 0,
        "pending_request": set(),
        "output_fmt": "list",
        "port": server.port,
        "port_out": server.port_out,
        "server_ip": "127.0.0.1",
        "client_version": "1.10.0",
        "timeout": 5000,
    }


def test_other_protocol_versions_are_refused_unless_told(serve: Callable[..., FakeServer]) -> None:
    server = serve(server_version="1.9.8")
    with pytest.raises(AttributeError, match=r"version mismatch.*1\.9\.8"):
        BertClient(**server.ports)
    with BertClient(check_version=False, **server.ports) as client:
        assert client.encode(["x"]).shape == (1, 2)


def test_show_server_config_prints_it(serve: Callable[..., FakeServer], capsys: pytest.CaptureFixture[str]) -> None:
    server = serve()
    BertClient(show_server_config=True, **server.ports).close()
    assert "max_seq_len\t=\t25" in capsys.readouterr().out
