"""What goes over the two sockets: right answers, refused requests, who hears what."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
import zmq
from bert_serving.server.frontends.zmq.request import read_topic

from tests.server.support import (
    IDS,
    Connect,
    RunningServer,
    StartServer,
    expected,
    ids_of,
    random_texts,
    token_vectors,
    wait_until,
)

BAD_REQUESTS: list[tuple[Any, int, str]] = [
    (b"not json", 1, "not a JSON list"),
    (b"\xff\xfe", 1, "not valid UTF-8"),
    (b"[" * 100_000, 1, "texts[0][0]: must be a string, not a list"),
    (b'{"a": 1}', 1, "must be a JSON list, not an object"),
    (b"3", 1, "must be a JSON list, not a number"),
    (b'"text"', 1, "must be a JSON list, not a string"),
    (b"[]", 0, "empty"),
    (["a", "b"], 1, "announces 1 texts and holds more"),
    (["a", "b"], 3, "announces 3 texts and holds 2"),
    (["a", "b"], 9_999_999_999, "more texts than the request can hold"),
    (["a", ""], 2, "texts[1]: is empty or blank"),
    (["a", " \t\n"], 2, "texts[1]: is empty or blank"),
    (["a", 3], 2, "texts[1]: must be a string, not a number"),
    (["a", None], 2, "texts[1]: must be a string, not null"),
    (["a", ["b"]], 2, "texts[1]: strings and lists"),
    ([["a"], "b"], 2, "texts[1]: strings and lists"),
    ([["a"], []], 2, "texts[1]: the list of tokens is empty"),
    ([["a", ""]], 1, "texts[0][1]: is empty or blank"),
    ([["a", ["b"]]], 1, "texts[0][1]: must be a string, not a list"),
    ([[["a"]]], 1, "texts[0][0]: must be a string, not a list"),
]


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> RunningServer:
    return start_server("-num_worker", "2", "-max_batch_size", "32", "-max_batch_tokens", "300")


@pytest.mark.parametrize(("payload", "count", "message"), BAD_REQUESTS)
def test_bad_requests_get_an_error(
    server: RunningServer, connect: Connect, payload: Any, count: int, message: str
) -> None:
    client = connect(server)
    client.send(payload, 7, count)
    client.send(["a b"], 8)
    (topic, header, body, number), other = client.receive(), client.receive()
    replies = {int(number): (header, body), int(other[3]): (other[1], other[2])}
    error = json.loads(replies[7][0])
    assert topic == b"tester\0"
    assert error["error"]["code"] == "bad_request"
    assert message in error["error"]["message"]
    assert error["dtype"].startswith("bert-ft: ")
    assert "," not in error["dtype"]
    with pytest.raises(TypeError, match="bert-ft"):
        np.dtype(error["dtype"])
    assert replies[7][1] == b""
    np.testing.assert_allclose(np.frombuffer(replies[8][1], np.float32), expected(["a b"])[0], atol=1e-6)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"x"],
        [b"x", b"[]"],
        [b"tester", b'["a"]', b"1"],
        [b"tester", b'["a"]', b"one", b"1"],
        [b"tester", b'["a"]', b"-1", b"1"],
        [b"tester", b'["a"]', b"9" * 100_000, b"1"],
        [b"tester", b'["a"]', "²".encode(), b"1"],
        [b"", b'["a"]', b"1", b"1"],
        [b"tes\0ter", b'["a"]', b"1", b"1"],
        [b"t" * 1025, b'["a"]', b"1", b"1"],
    ],
)
def test_unanswerable_messages_harm_no_one(server: RunningServer, connect: Connect, frames: list[bytes]) -> None:
    """Nor are they worked on: two of the requests that are counted are this client's own."""
    client = connect(server)
    before = client.ask(b"SHOW_STATUS")["statistic"]["num_total_request"]
    client.push.send_multipart(frames)
    client.send(["c d"], 2)
    number, vectors, _ = client.vectors()
    assert number == 2
    np.testing.assert_allclose(vectors, expected(["c d"]), atol=1e-6)
    assert client.ask(b"SHOW_STATUS")["statistic"]["num_total_request"] == before + 2


@pytest.mark.parametrize("identity", [b"\xff\xfe#@", b"a#1@2", b"#", b"@", "漢字".encode(), b"t" * 1024])
def test_any_other_identity_is_as_good_as_a_word(server: RunningServer, connect: Connect, identity: bytes) -> None:
    client = connect(server, identity)
    client.ask(b"SHOW_CONFIG")
    client.send(["c d"], 2)
    np.testing.assert_allclose(client.vectors()[1], expected(["c d"]), atol=1e-6)


@pytest.mark.parametrize(
    "frames",
    [
        [b"tester", b'["a"]', b"3", b"x"],
        [b"tester", b'["a"]', b"3", b""],
        [b"tester", b'["a"]', b"3", b"9" * 100_000],
        [b"tester", b'["a"]', b"3", b"1", b"{}", b"{}"],
        [b"tester", b'["a"]', b"3", b"1", b"{"],
        [b"tester", b'["a"]', b"3", b"1", b"[]"],
        [b"tester", b"SHOW_STATE", b"3", b"0"],
        [b"tester", b"SHOW_STATE", b"3", b"0", b'{"request": "1"}'],
        [b"tester", b"SHOW_STATE", b"3", b"0", b'{"request": true}'],
    ],
)
def test_wrong_frames_get_an_error(server: RunningServer, connect: Connect, frames: list[bytes]) -> None:
    client = connect(server)
    client.push.send_multipart(frames)
    number, error = client.error()
    assert (number, error["code"]) == (3, "bad_request")


def test_another_task_is_refused(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    client.send(["a"], 1, 1, b'{"task": "tag"}')
    assert client.error()[1]["code"] == "no_head"
    client.send(["a"], 2, 1, b'{"task": "encode"}')
    assert client.vectors()[0] == 2


def test_large_requests_are_split_and_put_together_in_order(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    texts = random_texts(np.random.default_rng(1), 3000, 40)
    client.send(texts)
    _, vectors, _ = client.vectors(60)
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-5)


def test_long_texts_are_cut_and_named(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    texts = ["a", " ".join("abcde" * 20), " ".join("b" * 62), " ".join("c" * 63)]
    client.send(texts)
    _, vectors, info = client.vectors()
    assert info["truncated"] == [1, 3]
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-5)


def test_a_text_of_a_megabyte_is_cut_too(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    texts = ["a b " * 250_000, "c", "d" * 1_000_000]
    client.send(texts)
    _, vectors, info = client.vectors(30)
    assert info["truncated"] == [0]
    word = token_vectors([IDS["[CLS]"], IDS["[UNK]"], IDS["[SEP]"]]).mean(axis=0)  # longer than a word may be
    np.testing.assert_allclose(vectors, [*expected(texts[:2]), word], atol=1e-5)


def test_tokenised_texts(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    client.send([["a", "b"], ["A", "|||", "c"]])
    _, vectors, _ = client.vectors()
    pair = [IDS["[CLS]"], IDS["[UNK]"], IDS["[SEP]"], IDS["c"], IDS["[SEP]"]]
    want = [token_vectors(ids).mean(axis=0) for ids in (ids_of("a b"), pair)]
    np.testing.assert_allclose(vectors, want, atol=1e-6)


def test_lone_surrogates_and_control_characters_are_texts(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    client.send(b'["\\ud800 a", "a\\u0000 b"]', 1, 2)
    assert client.vectors()[1].shape == (2, 8)


def test_many_clients_get_their_own_vectors(server: RunningServer, connect: Connect) -> None:
    rng = np.random.default_rng(2)
    clients = [connect(server, b"client-%d" % number) for number in range(24)]
    asked: dict[tuple[int, int], list[str]] = {}
    for request in range(6):
        for number, client in enumerate(clients):
            texts = random_texts(rng, int(rng.choice([1, 2, 5, 40])))
            asked[number, request] = texts
            client.send(texts, request)
    for number, client in enumerate(clients):
        for _ in range(6):
            request, vectors, _ = client.vectors(30)
            np.testing.assert_allclose(vectors, expected(asked.pop((number, request))), atol=1e-5)
    assert not asked


def test_prefix_identities_do_not_hear_each_other(server: RunningServer, connect: Connect) -> None:
    short, long = connect(server, b"user1"), connect(server, b"user10")
    long.send(["a"], 1)
    long.vectors()
    assert short.silent()
    short.send(["b"], 2)
    assert short.vectors()[0] == 2
    assert long.silent()


@pytest.mark.parametrize(
    ("topic", "user", "address"),
    [
        (b"a", None, b"a\0"),
        (b"", None, None),
        (b"\0", None, None),
        (b"a\0", None, None),
        (b"a\0K", None, None),
        (b"a" * 1024, None, b"a" * 1024 + b"\0"),
        (b"a" * 1025, None, None),
        (b"a\0K", b"K", b"a\0K"),
        (b"a", b"K", None),
        (b"a\0", b"K", None),
        (b"a\0L", b"K", None),
        (b"a\0K\0", b"K", None),
        (b"\0K", b"K", None),
        (b"", b"K", None),
    ],
)
def test_what_a_subscription_may_ask_for(topic: bytes, user: bytes | None, address: bytes | None) -> None:
    """An identity, and with keys one's own public key behind it."""
    assert read_topic(topic, user, 1024) == address


def test_empty_and_nul_subscriptions_hear_nothing(server: RunningServer, connect: Connect) -> None:
    spy = connect(server, b"spy", listen=False)
    for topic in (b"", b"user\0", b"u", b"spy"):
        spy.listen(topic)
    spy.ask(b"SHOW_CONFIG")  # by its answer the other subscriptions have been read
    user = connect(server, b"user")
    user.send(["a"], 1)
    user.vectors()
    assert spy.silent()


def test_shared_identity_reaches_all_and_survives_one_leaving(server: RunningServer, connect: Connect) -> None:
    first, second = connect(server, b"shared"), connect(server, b"shared")
    for client in (first, second):
        client.send(b"SHOW_CONFIG", 1)
        while client.silent():  # what came before it listened went to the other only
            client.send(b"SHOW_CONFIG", 1)
    first.send(b"SHOW_CONFIG", 2)
    for client in (first, second):
        while client.receive()[2] != b"2":
            pass
    second.close()
    time.sleep(0.1)
    first.send(["a"], 3)
    frames = first.receive()
    while len(frames) == 3:  # a late answer to one of the second's questions
        frames = first.receive()
    assert frames[-1] == b"3"


def test_late_reader_gets_what_was_held_in_order(server: RunningServer, connect: Connect) -> None:
    late = connect(server, b"late", listen=False)
    for number in range(1, 4):
        late.send(["a"] * number, number)
    late.send(b"SHOW_CONFIG", 4)
    watcher = connect(server, b"watcher")
    wait_until(lambda: watcher.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 0)
    late.listen(b"late")
    replies = [late.receive() for _ in range(4)]
    assert sorted(int(frames[-1]) for frames in replies) == [1, 2, 3, 4]
    late.send(["b"], 5)
    assert late.vectors()[0] == 5


def test_slow_reader_loses_nothing(server: RunningServer, connect: Connect) -> None:
    slow, other = connect(server, b"slow"), connect(server, b"quick")
    slow.ask(b"SHOW_CONFIG")
    for number in range(3000):
        slow.send(["a b"], number)
    other.send(["c"], 1)
    other.vectors()
    wait_until(lambda: other.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 0, 60)
    assert {slow.vectors()[0] for _ in range(3000)} == set(range(3000))


def test_state_of_a_request(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=2")
    client = connect(server)

    def state(asked: int, number: int) -> dict[str, Any]:
        client.send(b"SHOW_STATE", number, 0, json.dumps({"request": asked}).encode())
        frames = client.receive()
        assert len(frames) == 3
        assert frames[2] == b"%d" % number
        return json.loads(frames[1])

    assert state(1, 2) == {"request": 1, "state": "unknown"}
    client.send(["a"], 1)
    assert state(1, 3) == {"request": 1, "state": "waiting"}
    assert client.vectors()[0] == 1
    assert state(1, 4) == {"request": 1, "state": "unknown"}


def test_full_queue_refuses_at_once(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-max_queue", "2", "-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=0.5")
    client = connect(server)
    for number in range(1, 4):
        client.send(["a"], number)
    number, error = client.error()
    assert (number, error["code"]) == (3, "overloaded")
    assert {client.vectors()[0], client.vectors()[0]} == {1, 2}


def test_token_level_replies(start_server: StartServer, connect: Connect) -> None:
    texts = ["a b c", "d", " ".join("e" * 20)]
    forms: list[tuple[list[str], int, int, int | None]] = [
        ([], 22, 64, 64),
        (["-max_seq_len", "NONE"], 22, 64, None),
        (["-max_seq_len", "10", "-fp16"], 10, 10, 10),
        (["-fixed_embed_length"], 64, 64, 64),
    ]
    servers = [start_server("-pooling_strategy", "NONE", "-show_tokens", *form[0], ready=False) for form in forms]
    for server, (flags, height, maximum, reported) in zip(servers, forms, strict=True):
        server.wait_for("all set")
        client = connect(server)
        client.send(texts)
        _, vectors, info = client.vectors()
        want = np.zeros((3, height, 8), np.float32)
        for row, text in zip(want, texts, strict=True):
            ids = ids_of(text, maximum)
            row[: len(ids)] = token_vectors(ids)
        assert vectors.dtype == (np.float16 if "-fp16" in flags else np.float32)
        np.testing.assert_allclose(vectors, want, atol=2e-3 if "-fp16" in flags else 1e-6)
        assert info["tokens"][:2] == [["[CLS]", *"abc", "[SEP]"], ["[CLS]", "d", "[SEP]"]]
        assert len(info["tokens"][2]) == min(22, maximum)
        config = client.ask(b"SHOW_CONFIG")
        assert config["max_seq_len"] == reported
        assert config["show_tokens_to_client"] is True


def test_masked_special_tokens(start_server: StartServer, connect: Connect) -> None:
    client = connect(start_server("-mask_cls_sep"))
    client.send(["a b"])
    np.testing.assert_allclose(client.vectors()[1][0], token_vectors(ids_of("a b"))[1:-1].mean(axis=0), atol=1e-6)


def test_request_that_is_too_large(server: RunningServer, connect: Connect) -> None:
    client = connect(server)
    client.push.setsockopt(zmq.SNDHWM, 2)
    client.send(b" " * ((128 << 20) + 1), 1, 1)
    number, error = client.error(30)
    assert (number, error["code"]) == (1, "too_large")
