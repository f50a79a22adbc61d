from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from bert_serving.server.frontends import json_size
from bert_serving.server.frontends.http.request import parse_request
from bert_serving.server.frontends.json_size import count_values
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=30,
)


def bound(value: Any) -> int:
    """Separators and openings, counted on the value itself; a comma after each but the last of a list or object."""
    if isinstance(value, (list, dict)):
        children = value.values() if isinstance(value, dict) else value
        return 1 + max(0, len(value) - 1) + sum(bound(child) for child in children)
    return 0


@given(value=JSON, escaped=st.booleans(), part=st.integers(1, 40))
def test_it_counts_what_stands_outside_strings(value: Any, escaped: bool, part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "_PART", part)
        text = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
        assert count_values(text) == 1 + bound(value)


@pytest.mark.parametrize("one", [b"[]", b"1", b'"a"', b"{}", b'["a"]'])
def test_small_values_without_number_are_refused_before_they_are_made(one: bytes) -> None:
    body = b'{"id": 1, "texts": [' + b",".join([one] * (Limits().http_max_json_values + 1)) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="send it in parts") as caught:
            parse_request(body, Limits())
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code == "too_large"
