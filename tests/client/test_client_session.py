"""Requests that a server lost, message by message."""

from __future__ import annotations

import json

from bert_serving.client.requests.session import Session

OURS = {"server_version": "1.10.0", "bert_ft_version": "0.1.0", "max_seq_len": 25}
OLD = {"server_version": "1.10.0", "max_seq_len": 25}


def session_with(config: dict[str, object], requests: int) -> tuple[Session, list[int]]:
    session = Session(b"me")
    session.learn(config)
    ids = [session.open(b'["%d"]' % number, 1) for number in range(requests)]
    session.outbox.clear()
    return session, ids


def questions(session: Session) -> dict[int, int]:
    """Question ids in the outbox, by the request they are about; the outbox is emptied."""
    asked = {json.loads(frames[4])["request"]: int(frames[2]) for frames in session.outbox if len(frames) == 5}
    session.outbox.clear()
    return asked


def say(session: Session, question: int, request: int, state: str) -> None:
    body = json.dumps({"request": request, "state": state}).encode()
    session.receive([b"me\0", body, b"%d" % question], now=1.0)


def sent_again(session: Session) -> list[int]:
    return [int(frames[2]) for frames in session.outbox if len(frames) == 4]


def test_one_lost_request_makes_all_others_suspect() -> None:
    session, (first, second, third) = session_with(OURS, 3)
    session.ask(first, now=0.0)
    say(session, questions(session)[first], first, "unknown")
    assert sent_again(session) == []
    say(session, questions(session)[first], first, "unknown")
    assert sent_again(session) == [first]
    asked = questions(session)
    assert set(asked) == {second, third}
    say(session, asked[second], second, "unknown")
    assert sent_again(session) == [second]
    assert questions(session) == {}
    say(session, asked[third], third, "waiting")
    assert not session.outbox


def test_an_answer_to_an_old_question_does_not_count_after_sending_again() -> None:
    session, (request,) = session_with(OURS, 1)
    for _ in range(3):
        session.ask(request, now=0.0)
    first, second, third = (int(frames[2]) for frames in session.outbox)
    session.outbox.clear()
    say(session, first, request, "unknown")
    say(session, second, request, "unknown")
    assert sent_again(session) == [request]
    session.outbox.clear()
    say(session, third, request, "unknown")
    assert not session.outbox
    assert session.pending[request].unknown == 0


def test_frames_are_kept_only_as_long_as_they_can_be_of_use() -> None:
    session, (request,) = session_with(OURS, 1)
    assert session.pending[request].frames
    session.receive([b"me\0", b'{"dtype": "float32", "shape": [0]}', b"", b"%d" % request], now=1.0)
    assert not session.pending
    session, (request,) = session_with(OLD, 1)
    assert session.pending[request].frames is None
    unknown_kind = Session(b"me")
    request = unknown_kind.open(b'["x"]', 1)
    assert unknown_kind.pending[request].frames
    unknown_kind.learn(OLD)
    assert unknown_kind.pending[request].frames is None


def test_an_old_server_gets_no_question() -> None:
    session, (request,) = session_with(OLD, 1)
    session.ask(request, now=0.0)
    assert not session.outbox


def test_a_forgotten_request_leaves_nothing_whether_answered_or_not() -> None:
    session, (answered, waiting) = session_with(OURS, 2)
    reply = [b'{"dtype": "float32", "shape": [0]}', b""]
    session.receive([b"me\0", *reply, b"%d" % answered], now=1.0)
    assert list(session.ready) == [answered]
    session.forget([answered, waiting])
    session.receive([b"me\0", *reply, b"%d" % waiting], now=2.0)
    assert not session.ready
    assert not session.pending
