"""tag and classify on the three clients."""

from __future__ import annotations

import asyncio
import inspect
import json
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from bert_serving.client import (
    AsyncBertClient,
    BadReplyError,
    BertClient,
    BertServingError,
    Classification,
    ConcurrentBertClient,
    Entity,
    NoHeadError,
    UnsupportedByServerError,
)

if TYPE_CHECKING:
    from tests.client.conftest import FakeServer, Request

    Serve = Callable[..., FakeServer]

Caller = Callable[..., Any]
TEXT = "浙商银行 \ud800 😀"
ENTITY = {"type": "company", "text": "浙商银行", "start": 0, "end": 4, "score": 0.98}
CLASSES = {"label": "glad", "score": 0.75, "scores": {"glad": 0.75, "sad": 0.25}}


def plain(server: FakeServer, method: str, *args: Any, **kwargs: Any) -> Any:
    with BertClient(**server.ports) as client:
        return getattr(client, method)(*args, **kwargs)


def pooled(server: FakeServer, method: str, *args: Any, **kwargs: Any) -> Any:
    with ConcurrentBertClient(2, **server.ports) as pool:
        result = getattr(pool, method)(*args, **kwargs)
        assert len(pool.available_bc) == 2
        return result


def awaited(server: FakeServer, method: str, *args: Any, **kwargs: Any) -> Any:
    async def main() -> Any:
        async with AsyncBertClient(**server.ports) as client:
            return await getattr(client, method)(*args, **kwargs)

    return asyncio.run(main())


@pytest.fixture(params=[plain, pooled, awaited])
def call(request: pytest.FixtureRequest) -> Caller:
    """Call a method of a client of one kind."""
    return request.param


def task_answers(server: FakeServer, request: Request) -> None:
    asked = json.loads(request.frames[4])
    if asked["task"] == "classify":
        server.answer_json(request, [CLASSES] * len(request.texts))
    elif asked["output"] == "tags":
        server.answer_json(request, [["O"] * len(text) for text in request.texts])
    else:
        server.answer_json(request, [[ENTITY | {"from_a_later_server": 1}]] + [[]] * (len(request.texts) - 1))


def test_tag(serve: Serve, call: Caller) -> None:
    server = serve(task_answers)
    assert call(server, "tag", [TEXT, "b"]) == [[Entity("company", "浙商银行", 0, 4, 0.98)], []]
    assert call(server, "tag", [["a", "bc"]], is_tokenized=True, output="tags") == [["O", "O"]]
    first, second = server.requests
    assert (first.texts, first.frames[3]) == ([TEXT, "b"], b"2")
    assert json.loads(first.frames[4]) == {"task": "tag", "output": "entities"}
    assert second.texts == [["a", "bc"]]
    assert json.loads(second.frames[4]) == {"task": "tag", "output": "tags"}


def test_classify(serve: Serve, call: Caller) -> None:
    server = serve(task_answers)
    assert call(server, "classify", ["a", "b"]) == [Classification("glad", 0.75, {"glad": 0.75, "sad": 0.25})] * 2
    assert json.loads(server.requests[0].frames[4]) == {"task": "classify"}


def test_an_old_server_is_sent_nothing(serve: Serve, call: Caller) -> None:
    server = serve(legacy=True)
    for method in ("tag", "classify"):
        with pytest.raises(
            UnsupportedByServerError, match=rf"1\.10\.0: it knows encode\(\), but not {method}"
        ) as caught:
            call(server, method, ["a"])
        assert isinstance(caught.value, BertServingError)
        assert isinstance(caught.value, NotImplementedError)
    assert server.requests == []
    assert set(server.commands) == {b"SHOW_CONFIG"}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_client_without_checks_asks_what_the_server_is_first(serve: Serve, legacy: bool) -> None:
    server = serve(task_answers, legacy=legacy)

    async def classify() -> None:
        client = AsyncBertClient(ignore_all_checks=True, **server.ports)
        try:
            await client.classify(["a"])
        finally:
            await client.close()

    with BertClient(ignore_all_checks=True, **server.ports) as client:
        if legacy:
            for ask in (lambda: client.tag(["a"]), lambda: asyncio.run(classify())):
                with pytest.raises(UnsupportedByServerError):
                    ask()
            assert server.requests == []
        else:
            assert client.tag(["a"])[0][0].text == "浙商银行"
            client.tag(["a"])
            asyncio.run(classify())
    assert set(server.commands) == {b"SHOW_CONFIG"}


def test_a_missing_head_is_an_error_of_that_call(serve: Serve, call: Caller) -> None:
    server = serve(lambda server, request: server.fail(request, "no_head", "this model has no head: use encode()"))
    for method in ("tag", "classify"):
        with pytest.raises(NoHeadError, match=r"^this model has no head: use encode\(\)$"):
            call(server, method, ["a"])


def test_a_lost_request_is_sent_again_with_its_task(serve: Serve) -> None:
    def lose_first(server: FakeServer, request: Request) -> None:
        if len(server.requests) == 1:
            server.known.clear()
        else:
            task_answers(server, request)

    server = serve(lose_first)
    with BertClient(timeout=1500, **server.ports) as client:
        assert client.tag(["a"])[0][0].type == "company"
    first, second = server.requests
    assert first.frames == second.frames
    assert len(first.frames) == 5


def test_cut_texts_are_said(serve: Serve, call: Caller) -> None:
    server = serve(lambda server, request: server.answer_json(request, [CLASSES] * 3, truncated=[0, 2]))
    with pytest.warns(UserWarning, match=r"cut 2 of the 3 texts of request \d+ to its max_seq_len=25"):
        call(server, "classify", ["a", "b", "c"])


def test_results_of_encode_wait_meanwhile(serve: Serve) -> None:
    def either(server: FakeServer, request: Request) -> None:
        (task_answers if len(request.frames) == 5 else type(server).answer)(server, request)

    with BertClient(**serve(either).ports) as client:
        client.encode(["abc"], blocking=False)
        assert client.tag(["a"])[0][0].end == 4
        client.encode(["abcd"], blocking=False)
        assert client.classify(["a"])[0].label == "glad"
        assert [one[0, 0] for one in client.fetch_all()] == [3, 4]


@pytest.mark.parametrize(
    ("method", "body", "header", "message"),
    [
        ("tag", b"{", {}, "not JSON"),
        ("tag", b"\xff", {}, "not JSON"),
        ("tag", {"a": 1}, {}, "not a JSON list"),
        ("tag", [[{"type": "x"}]], {}, "lacks 'text'"),
        ("tag", [[3]], {}, "lacks"),
        ("classify", ["glad"], {}, "lacks"),
        ("tag", [[]], {"task": "classify"}, r"answered tag\(\) with something else"),
        (
            "classify",
            b"\0" * 4,
            {"task": "encode", "dtype": "float32", "shape": [1]},
            r"answered classify\(\) with something else",
        ),
        ("encode", [[]], {"task": "tag"}, r"answered encode\(\) with something else"),
    ],
)
def test_nonsense_is_an_error_of_that_call(
    serve: Serve, method: str, body: Any, header: dict[str, Any], message: str
) -> None:
    server = serve(lambda server, request: server.answer_json(request, body, **header))
    with BertClient(**server.ports) as client:
        with pytest.raises(BadReplyError, match=message):
            getattr(client, method)(["a"])
        server.script = task_answers
        assert client.classify(["a"])[0].score == 0.75


def test_wrong_arguments(serve: Serve, call: Caller) -> None:
    server = serve()
    with pytest.raises(ValueError, match='"output" must be "entities" or "tags", not \'spans\''):
        call(server, "tag", ["a"], output="spans")
    with pytest.raises(TypeError):
        call(server, "tag", "a")
    with pytest.raises(TypeError):
        call(server, "tag", ["a"], is_tokenized=True)
    with pytest.raises(ValueError, match="element 1"):
        call(server, "classify", ["a", " "])
    assert server.requests == []


def test_an_empty_pool(serve: Serve) -> None:
    with ConcurrentBertClient(1, **serve().ports) as pool, pool._borrowed():
        for ask in (pool.tag, pool.classify):
            with pytest.raises(RuntimeError, match="Too many concurrent connections"):
                ask(["a"])


@pytest.mark.parametrize("method", ["tag", "classify"])
def test_the_examples_run(serve: Serve, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    doc = inspect.getdoc(getattr(BertClient, method)) or ""
    code = textwrap.dedent(doc.partition("Example::")[2].partition("Args:")[0])
    server = serve(task_answers)
    with BertClient(**server.ports) as client:
        exec(code, {"client": client, "texts": ["a", "b"]})
    assert len(server.requests) == 1
    assert capsys.readouterr().out == {"tag": "", "classify": "glad 0.75 a\nglad 0.75 b\n"}[method]
