"""The HTTP door with bearer keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from bert_serving.server.frontends.http.keys import HttpKeys

from bert_ft.errors import BertFtError
from tests.server.support import StartServer, free_ports
from tests.server.test_http import call

FIRST, SECOND = "0123456789abcdef", "another-key"


@pytest.fixture(scope="module")
def port(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> int:
    path = tmp_path_factory.mktemp("http") / "keys"
    path.write_text(f"# of the search page\n{FIRST}\n\n  {SECOND}  \n")
    (port,) = free_ports(1)
    start_server("-http_port", str(port), "-http_key_file", str(path))
    return port


@pytest.mark.parametrize("header", [f"Bearer {FIRST}", f"bearer {SECOND}", f"Bearer  {FIRST} "])
def test_a_key_opens_every_route(port: int, header: str) -> None:
    assert call(port, "/encode", {"id": 1, "texts": ["a"]}, {"Authorization": header})[0] == 200
    status, answer, _ = call(port, "/status/server", None, {"Authorization": header})
    assert status == 200
    assert answer["model_dir"]
    assert call(port, "/status/client", None, {"Authorization": header})[0] == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {FIRST[:-1]}", f"Bearer {FIRST}0", "Bearer wrong", f"Basic {FIRST}", FIRST,
     f"Bearer {FIRST} {SECOND}", "Bearer # of the search page", "Bearer \xe9"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/encode", "/tag", "/classify", "/status/server", "/status/client"])
def test_without_one_there_is_nothing(port: int, path: str, header: str | None) -> None:
    body = None if path.startswith("/status") else b"not even read"
    status, answer, headers = call(port, path, body, {} if header is None else {"Authorization": header})
    assert (status, answer["status"], answer["type"]) == (401, 401, "unauthorized")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert set(answer) == {"description", "status", "type"}


def test_health_stays_open(port: int) -> None:
    assert call(port, "/health")[:2] == (200, {"ready": True, "status": 200})


def test_a_browser_may_ask_whether_it_may_ask(port: int) -> None:
    """A preflight request never carries a key."""
    import urllib.request

    headers = {
        "Origin": "http://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/encode", headers=headers, method="OPTIONS")
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert "authorization" in reply.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"", "no key in it"),
        (b"# only a comment\n", "no key in it"),
        (b"good\ntwo words\n", "line 2: a key is made of ASCII characters without spaces"),
        ("schlüssel".encode(), "line 1: a key is made of ASCII"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_a_file_that_holds_no_keys_is_one_line(tmp_path: Path, content: bytes | None, fault: str) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(BertFtError, match=fault) as caught:
        HttpKeys(tmp_path / "keys")
    assert "\n" not in str(caught.value)


def test_it_stops_the_start(start_server: StartServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), "-http_key_file", str(tmp_path / "none"), ready=False)
    assert server.exit_status() == 1
    assert "none: cannot be read (No such file or directory); see -http_key_file" in server.lines[-1]
