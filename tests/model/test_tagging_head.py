"""CRF likelihood, decoding and span scores against enumeration of every tag sequence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_ft.checkpoint.head import CRF_TRANSITIONS
from bert_ft.model.backend import tf
from bert_ft.model.crf import log_likelihood, log_partition
from bert_ft.model.heads import NO_LABEL, TaggingHead
from bert_ft.model.tensors import PackedTensors
from bert_ft.text.decoding import BioDecoder
from bert_ft.text.packing import InputFeatures, pack

LABELS = ["O", "B-x", "I-x", "B-y", "I-y"]
SIZE = len(LABELS)
SEEDS = st.integers(0, 10_000)
LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=4)


def score(emissions: np.ndarray, transitions: np.ndarray, tags: tuple[int, ...]) -> float:
    total = sum(emissions[place, tag] for place, tag in enumerate(tags))
    return float(total + sum(transitions[a, b] for a, b in itertools.pairwise(tags)))


def sequences(length: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(SIZE), repeat=length))


def is_legal(tags: tuple[int, ...]) -> bool:
    names = ["O", *(LABELS[tag] for tag in tags)]
    return all(not name.startswith("I-") or before[1:] == name[1:] for before, name in itertools.pairwise(names))


def random_case(seed: int, lengths: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (length, SIZE)) for length in lengths], rng.normal(0, 1, (SIZE, SIZE))


def padded(parts: list[np.ndarray]) -> np.ndarray:
    result = np.full((len(parts), max(map(len, parts)), *parts[0].shape[1:]), 99, parts[0].dtype)
    for row, part in zip(result, parts, strict=True):
        row[: len(part)] = part
    return result


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_partition_and_likelihood_are_those_of_enumeration(seed: int, lengths: list[int]) -> None:
    parts, transitions = random_case(seed, lengths)
    rng = np.random.default_rng(seed + 1)
    tags = [rng.integers(0, SIZE, length) for length in lengths]
    partitions = [np.logaddexp.reduce([score(p, transitions, s) for s in sequences(len(p))]) for p in parts]
    arrays = tf.constant(padded(parts), tf.float32), tf.constant(transitions, tf.float32)
    found = log_partition(arrays[0], tf.constant(lengths, tf.int32), arrays[1])
    np.testing.assert_allclose(found.numpy(), partitions, rtol=1e-4, atol=1e-4)
    padded_tags = tf.constant(np.where(padded(tags) == 99, 0, padded(tags)), tf.int32)
    likelihood = log_likelihood(arrays[0], padded_tags, tf.constant(lengths, tf.int32), arrays[1])
    expected = [score(p, transitions, tuple(t)) - z for p, t, z in zip(parts, tags, partitions, strict=True)]
    np.testing.assert_allclose(likelihood.numpy(), expected, rtol=1e-4, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(SEEDS, LENGTHS, st.booleans())
def test_decoding_finds_the_best_legal_sequence(seed: int, lengths: list[int], with_crf: bool) -> None:
    parts, transitions = random_case(seed, lengths)
    decoder = BioDecoder(LABELS, transitions if with_crf else None)
    steps = transitions if with_crf else np.zeros((SIZE, SIZE))
    found = decoder.tags(np.concatenate(parts), lengths)
    for part, tags in zip(parts, found, strict=True):
        best = max((s for s in sequences(len(part)) if is_legal(s)), key=lambda s: score(part, steps, s))
        assert tuple(tags) == best


@settings(max_examples=40, deadline=None)
@given(SEEDS, LENGTHS, st.booleans())
def test_a_spans_score_is_the_probability_of_its_tags(seed: int, lengths: list[int], with_crf: bool) -> None:
    parts, transitions = random_case(seed, lengths)
    steps = transitions if with_crf else np.zeros((SIZE, SIZE))
    decoder = BioDecoder(LABELS, transitions if with_crf else None)
    tags = decoder.tags(np.concatenate(parts), lengths)
    for part, row, spans in zip(parts, tags, decoder.decode(np.concatenate(parts), lengths), strict=True):
        if not len(part):
            assert spans == []
            continue
        weights = {s: np.exp(score(part, steps, s)) for s in sequences(len(part))}
        assert [span.first for span in spans] == [i for i, tag in enumerate(row) if LABELS[tag].startswith("B-")]
        for span in spans:
            same = sum(w for s, w in weights.items() if s[span.first : span.end] == tuple(row[span.first : span.end]))
            assert span.score == pytest.approx(same / sum(weights.values()), rel=1e-6)
            assert LABELS[row[span.first]] == f"B-{span.type}"
            assert all(LABELS[tag] == f"I-{span.type}" for tag in row[span.first + 1 : span.end])


@given(SEEDS, st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_no_illegal_sequence_comes_out_whatever_the_scores(seed: int, lengths: list[int]) -> None:
    parts, transitions = random_case(seed, lengths)
    logits = np.concatenate(parts) * 50
    logits[:, 2] += 400
    for tags in BioDecoder(LABELS, transitions).tags(logits, lengths):
        assert is_legal(tuple(tags))


def test_one_text_at_a_time_gives_what_a_batch_gives() -> None:
    lengths = [3, 0, 7, 1]
    parts, transitions = random_case(5, lengths)
    decoder = BioDecoder(LABELS, transitions)
    together = decoder.decode(np.concatenate(parts), lengths)
    alone = [decoder.decode(part, [len(part)])[0] for part in parts]
    for first, second in zip(together, alone, strict=True):
        assert [span[:3] for span in first] == [span[:3] for span in second]
        np.testing.assert_allclose([s.score for s in first], [s.score for s in second], rtol=1e-9)


@pytest.mark.parametrize("crf", [False, True])
def test_the_heads_loss_leaves_pieces_without_a_tag_out(crf: bool) -> None:
    """Loss of two texts, worked out from each text's labelled pieces by enumeration."""
    rng = np.random.default_rng(3)
    labels = np.array([NO_LABEL, 1, NO_LABEL, 2, NO_LABEL, NO_LABEL, 0, 3, NO_LABEL], np.int32)
    features = [InputFeatures([0] * n, [0] * n, (), [], [], False) for n in (5, 4)]
    batch = PackedTensors.of(pack(features))
    logits = rng.normal(0, 1, (9, SIZE))
    transitions = rng.normal(0, 1, (SIZE, SIZE)) if crf else np.zeros((SIZE, SIZE))
    expected = 0.0
    for rows in ([1, 3], [6, 7]):
        emissions, tags = logits[rows], tuple(labels[rows])
        partition = np.logaddexp.reduce([score(emissions, transitions, s) for s in sequences(2)])
        expected += partition - score(emissions, transitions, tags)
    weights = {CRF_TRANSITIONS: tf.constant(transitions, tf.float32)}
    loss = TaggingHead(SIZE, crf).loss(weights, tf.constant(logits, tf.float32), tf.constant(labels), batch)
    assert float(loss) == pytest.approx(expected / 4, rel=1e-5)
