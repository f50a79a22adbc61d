"""What the HTTP frontend says of itself is what it does."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from bert_serving.server.tasks.registry import TASKS

from tests.server.support import StartServer, free_ports
from tests.server.test_http import call

HEADS = {"tag": "head=tagging", "classify": "head=classification"}
LABELS = {"tag": "O,B-name,I-name", "classify": "bad,good"}


def start(start_server: StartServer, task: str, *flags: str) -> int:
    (port,) = free_ports(1)
    options = [HEADS[task], f"labels={LABELS[task]}"] if task in HEADS else []
    start_server("-http_port", str(port), *flags, *(part for one in options for part in ("-engine_option", one)))
    return port


def content(part: dict[str, Any]) -> dict[str, Any]:
    return part["content"]["application/json"]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return isinstance(value, dict) and all(fits(value[name], one) for name, one in properties.items())
    if kind == "array":
        return isinstance(value, list) and all(fits(one, schema["items"]) for one in value)
    kinds: dict[str | None, Any] = {"integer": int, "number": (int, float), "string": str, "boolean": bool}
    return isinstance(value, kinds.get(kind, object))


@pytest.mark.parametrize("task", TASKS)
def test_examples_of_tasks_are_answered_as_described(start_server: StartServer, task: str) -> None:
    port = start(start_server, task)
    status, described, _ = call(port, "/openapi.json")
    assert status == 200
    assert set(described["paths"]) == {*(f"/{one}" for one in TASKS), "/status/server", "/status/client", "/health"}
    operation = described["paths"][f"/{task}"]["post"]
    status, answer, _ = call(port, f"/{task}", content(operation["requestBody"])["example"])
    assert status == 200
    promised = content(operation["responses"]["200"])
    assert set(answer) == set(promised["example"])
    assert fits(answer, promised["schema"])
    assert fits(promised["example"], promised["schema"])
    _, fault, _ = call(port, f"/{task}", {})
    assert set(fault) == set(content(operation["responses"]["default"])["example"])


def test_status_is_as_described(start_server: StartServer) -> None:
    port = start(start_server, "encode")
    _, described, _ = call(port, "/openapi.json")
    for path in ("/status/server", "/status/client", "/health"):
        assert list(described["paths"][path]) == ["get"]
        promised = content(described["paths"][path]["get"]["responses"]["200"])
        assert fits(call(port, path)[1], promised["schema"])
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method="HEAD")
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert (reply.status, reply.read()) == (200, b"")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=20) as page:
        assert b"openapi.json" in page.read()


def test_the_description_needs_a_key_where_the_rest_does(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    port = start(start_server, "encode", "-http_key_file", str(tmp_path / "keys"))
    for path in ("/openapi.json", "/docs"):
        assert call(port, path)[:2][0] == 401
    _, described, _ = call(port, "/openapi.json", None, {"Authorization": "Bearer 0123456789abcdef"})
    assert described["paths"]["/encode"]["post"]["security"]
    assert "security" not in described["paths"]["/health"]["get"]
