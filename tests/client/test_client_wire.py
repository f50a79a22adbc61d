from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from bert_serving.client import BadReplyError, BertServingError, errors, wire
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

any_text = st.text(st.characters(exclude_categories=()), max_size=40)
identities = st.binary(min_size=1, max_size=40).filter(lambda identity: b"\0" not in identity)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float16]), hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=5)
)


@given(message=any_text, code=st.sampled_from(sorted(errors.ERROR_CLASSES)))
def test_an_error_makes_the_old_client_raise_the_message(message: str, code: str) -> None:
    header, body = wire.error_reply(code, message)
    old_view = json.loads(header)
    with pytest.raises(TypeError, match="bert-ft: "):
        np.dtype(str(old_view["dtype"]))
    assert old_view["dtype"].isascii()
    assert old_view["dtype"].isprintable()
    assert old_view["shape"] == [0]
    assert body == b""


@given(message=any_text, code=st.sampled_from(sorted(errors.ERROR_CLASSES)), identity=identities)
def test_an_error_reaches_the_new_client_on_one_line(message: str, code: str, identity: bytes) -> None:
    header, body = wire.error_reply(code, message)
    frames = [wire.topic_of(identity), header, body, b"7"]
    reply = wire.parse_reply(frames, 7)
    assert isinstance(reply, wire.ErrorReply)
    assert type(reply.error) is errors.ERROR_CLASSES[code]
    assert reply.error.code == code
    assert reply.error.message.split() == (message.split() or [code])
    assert len(reply.error.message.splitlines()) == 1


def test_an_error_code_of_a_later_server_is_kept() -> None:
    header, body = wire.error_reply("out_of_tea", "come back")
    reply = wire.parse_reply([b"me\0", header, body, b"1"], 1)
    assert isinstance(reply, wire.ErrorReply)
    assert type(reply.error) is BertServingError
    assert (reply.error.code, str(reply.error)) == ("out_of_tea", "come back")


@given(
    array=arrays,
    identity=identities,
    request_id=st.integers(1, 2**63 - 1),
    tokens=st.one_of(st.just(""), st.lists(st.lists(any_text, max_size=3), max_size=3)),
    truncated=st.lists(st.integers(0, 100), max_size=4),
)
def test_vectors_round_trip(
    array: np.ndarray, identity: bytes, request_id: int, tokens: list[list[str]] | str, truncated: list[int]
) -> None:
    header = wire.array_header(str(array.dtype), array.shape, tokens, truncated)
    frames = [wire.topic_of(identity), header, array.tobytes(), b"%d" % request_id]
    assert wire.reply_id(frames, identity) == request_id
    reply = wire.parse_reply([memoryview(frame) for frame in frames], request_id)
    assert isinstance(reply, wire.ArrayReply)
    np.testing.assert_array_equal(reply.array, array)
    assert reply.array.dtype == array.dtype
    assert reply.array.flags.writeable
    assert (reply.tokens, reply.truncated) == (tokens, truncated)


@given(texts=st.lists(any_text, max_size=5), identity=identities, request_id=st.integers(1, 2**63))
def test_a_request_is_four_frames_with_the_texts_as_json(texts: list[str], identity: bytes, request_id: int) -> None:
    frames = wire.request_frames(identity, wire.json_bytes(texts), request_id, len(texts))
    assert frames[0] == identity
    assert json.loads(frames[1]) == texts
    assert [int(frame) for frame in frames[2:]] == [request_id, len(texts)]


def test_a_state_question_carries_the_request_asked_about() -> None:
    frames = wire.request_frames(b"me", wire.SHOW_STATE, 42, extra={"request": 41})
    assert frames[:4] == [b"me", b"SHOW_STATE", b"42", b"0"]
    assert json.loads(frames[4]) == {"request": 41}


@pytest.mark.parametrize(
    "frames",
    [
        [b"me1", b"{}", b"1"],
        [b"m", b"{}", b"1"],
        [b"me", b"1"],
        [b"me", b"{}", b"one"],
        [b"me", b"{}", "²".encode()],
        [b"me", b"{}", b"-1"],
        [b"me", b"{}", b"9" * 5000],
        [],
    ],
)
def test_messages_for_others_and_debris_have_no_id(frames: list[bytes]) -> None:
    assert wire.reply_id(frames, b"me") is None


@pytest.mark.parametrize("topic", [b"me", b"me\0"])
def test_old_and_new_topics_are_read(topic: bytes) -> None:
    assert wire.reply_id([topic, b"{}", b"12"], b"me") == 12


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"not json", b""),
        (b"[" * 100_000, b""),
        (b"[]", b""),
        (b'{"shape": [1]}', b"1234"),
        (b'{"dtype": "float32"}', b"1234"),
        (b'{"dtype": "float32", "shape": [2]}', b"1234"),
        (b'{"dtype": "float32", "shape": [-1]}', b"1234"),
        (b'{"dtype": "float32", "shape": 1}', b"1234"),
        (b'{"dtype": "object", "shape": [1]}', b"12345678"),
        (b'{"dtype": "float99", "shape": [1]}', b"1234"),
        (b'{"dtype": "f4,f4", "shape": [1]}', b"12345678"),
        (b'{"error": "because"}', b""),
    ],
)
def test_a_malformed_reply_is_one_clear_error(header: bytes, body: bytes) -> None:
    with pytest.raises(BadReplyError) as caught:
        wire.parse_reply([b"me", header, body, b"3"], 3)
    assert caught.value.request_id == 3
    assert "\n" not in str(caught.value)


@given(frames=st.lists(st.binary(max_size=20), min_size=3, max_size=5))
def test_no_reply_raises_anything_else(frames: list[bytes]) -> None:
    with contextlib.suppress(BadReplyError):
        wire.parse_reply(frames, 1)
