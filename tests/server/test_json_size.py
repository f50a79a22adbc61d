from __future__ import annotations

import tracemalloc

import pytest
from bert_serving.server.frontends.http.request import parse_request
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError


@pytest.mark.parametrize(
    ("name", "one"),
    [("texts", b'"a"'), ("texts", b'["a"]'), *[("more", one) for one in (b"[]", b"1", b'"a"', b"{}", b'["a"]')]],
)
def test_small_values_without_number_are_refused_before_they_are_made(name: str, one: bytes) -> None:
    body = b'{"id": 1, "%s": [' % name.encode() + b",".join([one] * 1_000_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="at most 1000 JSON values; send it in parts") as caught:
            parse_request(body, Limits(http_max_json_values=1000))
        assert tracemalloc.get_traced_memory()[1] < len(body) + (1 << 20)
    finally:
        tracemalloc.stop()
    assert caught.value.code == "too_large"


def test_all_values_count() -> None:
    body = b'{"id": [1, {}], "texts": [["a", "b"], ["c"]], "more": null}'
    assert parse_request(body, Limits(http_max_json_values=11))["id"] == [1, {}]
    with pytest.raises(RequestError, match="at most 10 JSON values"):
        parse_request(body, Limits(http_max_json_values=10))
