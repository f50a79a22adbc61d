"""What goes to a worker and comes back: only what was asked for, at the right places."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from bert_serving.server.batching.batcher import Batch, Sequence
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.encode import TokenVectorsJob, VectorsJob
from bert_serving.server.tasks.registry import head_reader
from bert_serving.server.tasks.request import RequestError
from bert_serving.server.tasks.tag import TagJob
from bert_serving.server.workers.messages import batch_message, read_batch_message

from bert_ft.text.packing import InputFeatures
from bert_ft.text.windows import Window, WindowedText


class Owner:
    done = False


def sequence(ids: list[int], output: str, first_pieces: tuple[int, ...] = ()) -> Sequence:
    features = InputFeatures(ids, [0] * len(ids), (0,), [], [], False)
    return Sequence(Owner(), 0, features, output, list(first_pieces))


def windowed(text: str) -> WindowedText:
    """In one window; each character is a unit, unless it is blank."""
    units = range(len(text.strip()))
    window = Window(InputFeatures([2, 3], [0, 0], (), [], [], False), [], units, units)
    return WindowedText(text, [(at, at + 1) for at in units], [window])


def test_outputs_are_those_that_are_wanted() -> None:
    vectors, tags = sequence([7, 8], "encode"), sequence([5], "head")
    for batch, outputs in (([vectors], {"encode"}), ([tags], {"head"}), ([tags, vectors], {"head", "encode"})):
        assert read_batch_message(*batch_message(Batch(batch), False))[0] == outputs


def test_first_pieces_are_rows_of_the_packed_batch() -> None:
    batch = Batch(
        [sequence([9, 1, 2, 3], "head", (1, 3)), sequence([9, 4], "encode"), sequence([9, 5, 6], "head", (2,))]
    )
    _, batch, firsts, counts = read_batch_message(*batch_message(batch, True))
    assert batch.ids[firsts].tolist() == [1, 3, 6]
    assert counts.tolist() == [2, 0, 1]
    assert batch.mask.tolist() == [0, 1, 1, 1, 0, 1, 0, 1, 1]


def test_spans_go_to_their_sequences() -> None:
    """Logits that can only mean one thing; the second sequence wants no tags, and the others are of one request."""
    labels = ["O", "B-x", "I-x", "B-y", "I-y"]
    tags = [[1, 2, 0], [], [3, 1, 2], [0]]
    logits = np.eye(5, dtype=np.float32)[[0, *tags[0], 4, 0, *tags[2], 0, *tags[3]]] * 100
    firsts, counts = np.array([1, 2, 3, 6, 7, 8, 10]), np.array([3, 0, 3, 1])
    read = head_reader({"head": "tagging", "labels": labels, "crf_transitions": None})
    assert read is not None
    arrays = read(logits, firsts, counts)

    async def answer(places: list[int]) -> bytes:
        tagged = TagJob(len(places), labels, "entities", Limits())
        tagged.add([windowed("abc"[: counts[place]]) for place in places])
        tagged.put(list(range(len(places))), TagJob.read(arrays, [4, 1, 4, 2]), places)
        await tagged.finished
        return tagged.result().body

    found = json.loads(asyncio.run(answer([3, 2, 0])))
    assert [[(one["type"], one["start"], one["end"]) for one in entities] for entities in found] == [
        [],
        [("y", 0, 1), ("x", 1, 3)],
        [("x", 0, 2)],
    ]
    assert all(one["score"] == pytest.approx(1.0) for entities in found for one in entities)


def test_crf_transitions_are_used() -> None:
    """O and B-x are equally likely but for the step O to B-x, which is rewarded."""
    steps = [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    logits = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -9.0]], np.float32)
    read = head_reader({"head": "tagging", "labels": ["O", "B-x", "I-x"], "crf_transitions": steps})
    assert read is not None
    assert read(logits, np.array([0, 1]), np.array([2]))["spans"].tolist() == [[0, 1, 2, 0]]


def test_probabilities_of_large_logits() -> None:
    read = head_reader({"head": "classification", "labels": ["a", "b"]})
    assert read is not None
    found = read(np.array([[1000.0, 1000.0], [-1000.0, 0.0]], np.float32), np.zeros(0), np.zeros(2))["probabilities"]
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.0, 1.0]], atol=1e-12)


def test_wrong_number_of_vectors() -> None:
    with pytest.raises(ValueError, match="3 rows for 2 texts"):
        VectorsJob.read({"encode": np.zeros((3, 8))}, [4, 5])
    with pytest.raises(ValueError, match="2 rows for 2 texts"):
        TokenVectorsJob.read({"encode": np.zeros((2, 8))}, [4, 5])


def test_tags_of_more_characters_than_a_reply_holds() -> None:
    limits = Limits(max_reply_bytes=1000)

    async def add(output: str, characters: int) -> int:
        return len(TagJob(1, ["O", "B-x", "I-x"], output, limits).add([windowed(" " * characters)]))

    assert asyncio.run(add("tags", 100)) == 1
    assert asyncio.run(add("entities", 1000)) == 1
    with pytest.raises(RequestError, match="the tags of all characters would take"):
        asyncio.run(add("tags", 1000))
