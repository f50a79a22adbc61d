"""tag and classify beside encode: right answers over the wire, whoever asks for what, and refusals that say why."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bert_serving.client import BertClient, Entity, NoHeadError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bert_ft.checkpoint.directory import ModelMetadata
from tests.server.support import IDS, Connect, RawClient, RunningServer, StartServer, expected, ids_of, random_texts
from tests.text.strategies import NASTY, unicode_texts

TAGS = ["O", "B-name", "I-name", "B-place", "I-place"]
CLASSES = ["negative", "neutral", "positive"]
TAGGING = ("-engine_option", "head=tagging")
CLASSIFICATION = ("-engine_option", "head=classification")
ENTITIES = b'{"task": "tag", "output": "entities"}'
AS_TAGS = b'{"task": "tag", "output": "tags"}'
CLASSIFY = b'{"task": "classify"}'
CERTAINTY = np.exp(5) / (np.exp(5) + 4)
"""Probability of a tag by the dummy engine's formula: logit 5 against four times 0."""


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> RunningServer:
    return start_server(*TAGGING, "-num_worker", "2", "-max_batch_tokens", "400")


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[BertClient]:
    with BertClient(port=server.port, port_out=server.port_out) as client:
        yield client


def legal_tags(rng: np.random.Generator, count: int) -> list[str]:
    """A random BIO sequence; entities have at most six words."""
    tags: list[str] = []
    while len(tags) < count:
        kind = rng.choice(["O", "name", "place"])
        tags += ["O"] if kind == "O" else [f"B-{kind}", *[f"I-{kind}"] * int(rng.integers(0, 6))]
    return tags[:count]


def letters_of(tags: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Letters to which the dummy engine gives these tags."""
    letters = {
        tag: [word for word, number in IDS.items() if word.isalpha() and number % 5 == at]
        for at, tag in enumerate(TAGS)
    }
    return [str(rng.choice(letters[tag])) for tag in tags]


def spans_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    starts = [at for at, tag in enumerate(tags) if tag.startswith("B-")]
    ends = [next((at for at in range(start + 1, len(tags)) if tags[at][0] != "I"), len(tags)) for start in starts]
    return [(tags[start][2:], start, end) for start, end in zip(starts, ends, strict=True)]


def entities_in(text: str, tags: Sequence[str]) -> list[Entity]:
    """Entities of a text of single letters with a space between them."""
    scores: list[Any] = [pytest.approx(CERTAINTY ** (end - start)) for _, start, end in spans_of(tags)]
    return [
        Entity(kind, text[2 * start : 2 * end - 1], 2 * start, 2 * end - 1, score)
        for (kind, start, end), score in zip(spans_of(tags), scores, strict=True)
    ]


def json_answer(client: RawClient) -> tuple[int, dict[str, Any], Any]:
    topic, header, body, number = client.receive()
    assert topic == client.identity + b"\0"
    return int(number), json.loads(header), json.loads(body.decode("utf-8"))


def test_frames_of_a_tag_reply(server: RunningServer, connect: Connect) -> None:
    raw = connect(server)
    raw.send(["b c d d", "今"], 4, 2, ENTITIES)
    number, header, body = json_answer(raw)
    assert number == 4
    assert header.pop("dtype").startswith("bert-ft: ")
    assert header.pop("model") == raw.ask(b"SHOW_CONFIG")["model_fingerprint"]
    assert header == {"task": "tag", "shape": [0], "tokens": "", "truncated": []}
    score = pytest.approx(CERTAINTY**3)
    assert body[0] == [{"type": "name", "text": "c d d", "start": 2, "end": 7, "score": score}]
    assert body[1] == [{"type": "name", "text": "今", "start": 0, "end": 1, "score": pytest.approx(CERTAINTY)}]
    raw.send(["b c d d"], 5, 1, AS_TAGS)
    assert json_answer(raw)[2] == [["O", "O", "B-name", *["I-name"] * 4]]


def test_entities_of_many_texts(client: BertClient) -> None:
    rng = np.random.default_rng(1)
    gold = [legal_tags(rng, int(rng.integers(1, 61))) for _ in range(700)]
    texts = [" ".join(letters_of(tags, rng)) for tags in gold]
    assert client.tag(texts) == [entities_in(*pair) for pair in zip(texts, gold, strict=True)]
    assert sum(map(len, client.tag(texts[:50]))) > 100


@pytest.mark.parametrize("words", [5000, 61, 62, 63, 130])
def test_long_texts_are_covered(client: BertClient, words: int) -> None:
    rng = np.random.default_rng(words)
    gold = [*legal_tags(rng, words - 2), "O", "B-place"]
    text = " ".join(letters_of(gold, rng))
    assert client.tag([text, "c"]) == [entities_in(text, gold), entities_in("c", ["B-name"])]
    (tags,) = client.tag([text], output="tags")
    assert len(tags) == len(text)
    assert tags[::2] == gold
    assert tags[-1] == "B-place"


def test_ten_thousand_characters(client: BertClient) -> None:
    text = "今天,😀" * 2500
    (tags,) = client.tag([text], output="tags")
    assert tags == ["B-name"] * 10_000  # every one of them is [UNK], whose id is 1


def test_tokenised_texts_count_tokens(client: BertClient) -> None:
    texts = [["b", "cdc", "d", "e", "g"], ["浙", "商", "W", "银行"]]
    first, second = client.tag(texts, is_tokenized=True)
    assert [(e.type, e.text, e.start, e.end) for e in first] == [("name", "cdc d", 1, 3), ("place", "e", 3, 4)]
    assert [(e.text, e.start, e.end) for e in second] == [("浙", 0, 1), ("商", 1, 2), ("W", 2, 3), ("银行", 3, 4)]
    tags = client.tag(texts, is_tokenized=True, output="tags")
    assert tags == [["O", "B-name", "I-name", "B-place", "O"], ["B-name"] * 4]


@settings(max_examples=60, deadline=None)
@given(st.lists(unicode_texts.filter(str.strip), min_size=1, max_size=4))
@example([text for text in NASTY if text.strip()])
@example(["\ud83d lone \udc00 c", "Ｃ Ｄ b", "c\u0301 d\u0301", "😀c d"])
def test_offsets_fit_the_text_as_sent(client: BertClient, texts: list[str]) -> None:
    tagged = client.tag(texts)
    for text, entities, tags in zip(texts, tagged, client.tag(texts, output="tags"), strict=True):
        assert all(text[e.start : e.end] == e.text != "" for e in entities)
        assert all(one.end <= other.start for one, other in pairwise(entities))
        assert spans_of(tags) == [(e.type, e.start, e.end) for e in entities]
        assert len(tags) == len(text)


def test_offsets_of_what_the_tokenizer_changes(client: BertClient) -> None:
    first, second = client.tag(["😀c  D\u0301!", "ｃ b É"])  # 😀c and ｃ are [UNK]; D\u0301 is d and É is e
    assert [(e.type, e.text, e.start) for e in first] == [("name", "😀c  D\u0301", 0), ("name", "!", 6)]
    assert [(e.type, e.text, e.start) for e in second] == [("name", "ｃ", 0), ("place", "É", 4)]


def test_many_clients_ask_for_different_things_at_once(start_server: StartServer) -> None:
    server = start_server(*TAGGING, "-engine_option", "batch_seconds=0.03")
    wrong: list[Any] = []

    def ask(number: int) -> None:
        rng = np.random.default_rng(number)
        with BertClient(port=server.port, port_out=server.port_out) as client:
            for turn in range(12):
                gold = [legal_tags(rng, int(rng.integers(1, 100))) for _ in range(3)]
                tagged = [" ".join(letters_of(tags, rng)) for tags in gold]
                encoded = random_texts(rng, 3, 60)
                if (number + turn) % 2:
                    right = np.allclose(client.encode(encoded), expected(encoded), atol=1e-5)
                else:
                    right = client.tag(tagged) == [entities_in(*pair) for pair in zip(tagged, gold, strict=True)]
                if not right:
                    wrong.append((number, turn))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with BertClient(port=server.port, port_out=server.port_out) as client:
        worker = client.server_status["workers"][0]
    assert worker["batches"] < 96  # so requests of both kinds shared batches


def probabilities(text: str, maximum: int = 64) -> np.ndarray:
    counts = np.bincount([number % 3 for number in ids_of(text, maximum)], minlength=3)
    return np.exp(counts) / np.exp(counts).sum()


@pytest.mark.parametrize("flags", [(), ("-mask_cls_sep", "-pooling_strategy", "NONE", "-no_special_token")])
def test_classes(start_server: StartServer, connect: Connect, flags: Sequence[str]) -> None:
    server = start_server(*CLASSIFICATION, *flags)
    texts = [*random_texts(np.random.default_rng(3), 400), " ".join("b" * 63)]
    raw = connect(server)
    raw.send(texts, 1, None, CLASSIFY)
    _, header, body = json_answer(raw)
    assert (header["task"], header["truncated"]) == ("classify", [400])
    assert header["dtype"].startswith("bert-ft: ")
    for text, found in zip(texts, body, strict=True):
        want = probabilities(text)
        assert list(found["scores"]) == CLASSES
        np.testing.assert_allclose(list(found["scores"].values()), want, rtol=1e-6)
        assert (found["label"], found["score"]) == (CLASSES[want.argmax()], found["scores"][CLASSES[want.argmax()]])
    with (
        BertClient(port=server.port, port_out=server.port_out) as client,
        pytest.warns(UserWarning, match="cut 1 of the 2 texts"),
    ):
        assert [one.label for one in client.classify(texts[-2:])] == [one["label"] for one in body[-2:]]


def test_what_the_model_has_no_head_for(start_server: StartServer, server: RunningServer) -> None:
    refusals = [
        (start_server(ready=False), "this model has no head: use encode(), not {}()", ["tag", "classify"], ["encode"]),
        (
            start_server(*CLASSIFICATION, ready=False),
            "this model has a classification head with 3 labels: use classify() or encode(), not {}()",
            ["tag"],
            ["encode", "classify"],
        ),
        (
            server,
            "this model has a tagging head with 5 labels: use tag() or encode(), not {}()",
            ["classify"],
            ["encode", "tag"],
        ),
    ]
    for one, message, tasks, offered in refusals:
        one.wait_for("all set")
        with BertClient(port=one.port, port_out=one.port_out) as client:
            assert client.server_config["tasks"] == offered
            for task in tasks:
                with pytest.raises(NoHeadError) as caught:
                    getattr(client, task)(["a"])
                assert str(caught.value) == message.format(task)
            assert client.encode(["a"]).shape == (1, 8)


def test_old_client_raises_whatever_the_json_reply(server: RunningServer, connect: Connect) -> None:
    """1.10.0 hands the header's dtype to numpy before it looks at the body."""
    raw = connect(server)
    for extra in (ENTITIES, CLASSIFY):
        raw.send(["a"], 1, 1, extra)
        _, header, body, _ = raw.receive()
        with pytest.raises(TypeError, match="bert-ft"):
            np.frombuffer(body, dtype=str(json.loads(header)["dtype"]))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (b'{"task": "tags"}', "task must be one of encode, tag, classify, not 'tags'"),
        (b'{"task": ["tag"]}', "task must be one of"),
        (b'{"task": "tag", "output": "spans"}', "output must be one of entities, tags, not 'spans'"),
        (b'{"task": "tag", "output": null}', "output must be one of"),
    ],
)
def test_unknown_tasks_are_named(server: RunningServer, connect: Connect, extra: bytes, message: str) -> None:
    raw = connect(server)
    raw.send(["a"], 1, 1, extra)
    number, error = raw.error()
    assert (number, error["code"]) == (1, "bad_request")
    assert message in error["message"]


def test_long_text_that_raises_is_named(start_server: StartServer, connect: Connect) -> None:
    server = start_server(*TAGGING, "-engine_option", "error_id=29")
    raw = connect(server)
    raw.send(["a " * 200, "b " * 150 + "z", "c"], 1, None, ENTITIES)
    number, error = raw.error()
    assert (number, error["code"]) == (1, "engine_failed")
    assert "texts[1] cannot be encoded: the engine raised RuntimeError" in error["message"]


def test_windows_are_as_long_as_in_training(start_server: StartServer, model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    shutil.copytree(model_dir, folder)
    ModelMetadata("ner", "tagging", TAGS, 16, True).save(folder / "bert_ft.json")
    sequences = []
    for flags in ((), ("-max_seq_len", "64")):
        server = start_server(*TAGGING, "-engine_option", "load_seconds=1", *flags, folder=folder, ready=False)
        with BertClient(port=server.port, port_out=server.port_out) as client:
            config = client.server_config
            assert (config["ready"], config["tasks"]) == (False, ["encode", "tag"])
            assert config["max_seq_len"] == 64
            assert [len(entities) for entities in client.tag(["c " * 100])] == [100]
            sequences.append(client.server_status["workers"][0]["sequences"])
    assert sequences[0] >= 100 / 14
    assert sequences[1] <= 4


def test_a_run_of_one_type_is_one_entity_across_windows(client: BertClient) -> None:
    rng = np.random.default_rng(8)
    gold = ["O", *["B-name"], *["I-name"] * 299, "O"]
    text = " ".join(letters_of(gold, rng))
    ((entity,),) = client.tag([text])
    assert (entity.type, entity.start, entity.end) == ("name", 2, 2 * 301 - 1)
    assert 0 < entity.score <= 1
