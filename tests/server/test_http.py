"""The HTTP door on a real server with the dummy engine."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.server.support import RunningServer, StartServer, expected, free_ports


def call(port: int, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
    """Status, JSON and headers; a body makes it a POST."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.loads(reply.read()), reply.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


@pytest.fixture(scope="module")
def http(start_server: StartServer) -> tuple[RunningServer, int]:
    (port,) = free_ports(1)
    flags = ["-engine_option", "head=classification", "-engine_option", "labels=bad,good"]
    return start_server("-http_port", str(port), "-http_max_connect", "3", *flags), port


def test_encode_answers_as_bert_as_service_and_as_its_readme(http: tuple[RunningServer, int]) -> None:
    texts = ["a b c", "d e"]
    status, answer, _ = call(http[1], "/encode", {"id": 123, "texts": texts, "is_tokenized": False})
    assert (status, answer["status"], answer["id"]) == (200, 200, 123)
    np.testing.assert_allclose(answer["result"], expected(texts), atol=1e-6)
    assert answer["results"] == answer["result"]


def test_tokenised_texts(http: tuple[RunningServer, int]) -> None:
    _, answer, _ = call(http[1], "/encode", {"id": 1, "texts": [["a", "b"]], "is_tokenized": True})
    np.testing.assert_allclose(answer["result"], expected(["a b"]), atol=1e-6)


def test_classify(http: tuple[RunningServer, int]) -> None:
    status, answer, _ = call(http[1], "/classify", {"id": 1, "texts": ["a b"]})
    assert status == 200
    (found,) = answer["result"]
    assert found["label"] in ("bad", "good")
    assert sum(found["scores"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("path", "body", "status", "fault"),
    [
        ("/encode", b"{", 400, "Not a JSON."),
        ("/encode", b"\xff", 400, "the body is not UTF-8 (byte 0); send UTF-8"),
        ("/encode", '{"id": 1, "texts": ["今天"]}'.encode("gbk"), 400, "it may be GBK: send UTF-8"),
        ("/encode", '{"id": 1, "texts": ["a"]}'.encode("utf-16"), 400, "the body is UTF-16; send UTF-8"),
        (
            "/encode",
            gzip.compress(b'{"id": 1, "texts": ["a"]}', mtime=0),
            400,
            "compressed with gzip; send the JSON as it is",
        ),
        ("/encode", b'{"id": NaN, "texts": ["a"]}', 400, "JSON has no NaN"),
        ("/encode", b'{"id": [-1e999], "texts": ["a"]}', 400, '"id" holds a number that is too large'),
        ("/encode", b'{"id": 1, "texts": ["a", Infinity]}', 400, "JSON has no Infinity"),
        ("/encode", [1], 400, "must be an object"),
        ("/encode", {"texts": ["a"]}, 400, 'no "id"'),
        ("/encode", {"id": 1}, 400, 'no "texts"'),
        ("/encode", {"id": 1, "texts": "a"}, 400, "must be a list"),
        ("/encode", {"id": 1, "texts": []}, 400, "is empty"),
        ("/encode", {"id": 1, "texts": ["a", " "]}, 400, "texts[1]"),
        ("/encode", {"id": 1, "texts": ["a"], "is_tokenized": True}, 400, "lists of tokens"),
        ("/tag", {"id": 1, "texts": ["a"]}, 400, "classif"),
        ("/tag", {"id": 1, "texts": ["a"], "output": "x"}, 400, "output must be one of"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    http: tuple[RunningServer, int], path: str, body: Any, status: int, fault: str
) -> None:
    found, answer, _ = call(http[1], path, body)
    assert (found, answer["status"]) == (status, status)
    assert fault in answer["description"]


def test_status_and_health(http: tuple[RunningServer, int]) -> None:
    status, answer, _ = call(http[1], "/status/server")
    assert (status, answer["status"], answer["server_version"]) == (200, 200, "1.10.0")
    assert answer["statistic"]["num_data_request"] >= 0
    assert call(http[1], "/status/client")[1]["status"] == 200
    assert call(http[1], "/health")[1] == {"ready": True, "status": 200}


def test_any_origin_may_call_by_default(http: tuple[RunningServer, int]) -> None:
    _, _, headers = call(http[1], "/encode", {"id": 1, "texts": ["a"]}, {"Origin": "http://example.org"})
    assert headers["access-control-allow-origin"] == "*"


def test_more_callers_than_turns_all_get_their_own(http: tuple[RunningServer, int]) -> None:
    def ask(number: int) -> float:
        text = " ".join("abcdefgh"[: number % 8 + 1])
        _, answer, _ = call(http[1], "/encode", {"id": number, "texts": [text]})
        assert answer["id"] == number
        return float(np.abs(np.array(answer["result"]) - expected([text])).max())

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(ask, range(64))) < 1e-5


def test_a_busy_http_port_is_one_line(http: tuple[RunningServer, int], start_server: StartServer) -> None:
    second = start_server("-http_port", str(http[1]), ready=False)
    assert second.exit_status() == 1
    assert f"port {http[1]} (-http_port) cannot be opened" in second.log
    assert "Traceback" not in second.log


def test_sigterm_ends_it_and_frees_the_port(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port))
    assert call(port, "/health")[0] == 200
    assert server.end() == 0
    with pytest.raises(urllib.error.URLError):
        call(port, "/health")


def test_one_port_for_two_doors_is_refused(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-port", str(port), "-http_port", str(port), ready=False)
    assert server.exit_status() == 1
    assert f"-port and -http_port are both {port}" in server.log
