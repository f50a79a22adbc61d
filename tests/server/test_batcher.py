"""Properties of the batcher that hold for any mixture of requests."""

from __future__ import annotations

from bert_serving.server.batching.batcher import BULK_TURN, FREE_PADDING, INTERACTIVE_MEMORY, Batch, Batcher, Sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_ft.text.packing import InputFeatures


class Owner:
    def __init__(self) -> None:
        self.done = False


def make(owner: Owner, lengths: list[int], start: int = 0) -> list[Sequence]:
    return [
        Sequence(owner, place, InputFeatures([0] * length, [0] * length, (), [], [], False), "encode")
        for place, length in enumerate(lengths, start)
    ]


def drain(batcher: Batcher) -> list[Batch]:
    batches = []
    while (batch := batcher.take()) is not None:
        batches.append(batch)
    return batches


REQUESTS = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.lists(st.integers(1, 300), min_size=1, max_size=40)),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.integers(1, 32), st.integers(1, 1000), st.data())
def test_every_sequence_once_within_the_budgets(
    requests: list[tuple[bytes, list[int]]], maximum: int, tokens: int, data: st.DataObject
) -> None:
    batcher = Batcher(maximum, tokens)
    put: list[Sequence] = []
    batches: list[Batch] = []
    for client, lengths in requests:
        owner = Owner()
        cut = data.draw(st.integers(0, len(lengths)))
        for part, start in ((lengths[:cut], 0), (lengths[cut:], cut)):
            sequences = make(owner, part, start)
            put += sequences
            batcher.add(client, owner, sequences, bulk=len(lengths) > 16)
            if data.draw(st.booleans()) and (batch := batcher.take()):
                batches.append(batch)
    assert len(batcher) == len(put) - sum(len(batch.sequences) for batch in batches)
    batches += drain(batcher)
    assert len(batcher) == 0
    out = [sequence for batch in batches for sequence in batch.sequences]
    assert sorted(map(id, out)) == sorted(map(id, put))
    for batch in batches:
        lengths = [sequence.length for sequence in batch.sequences]
        assert len(lengths) <= maximum
        assert sum(lengths) <= tokens or len(lengths) == 1
        assert max(lengths) <= max(2 * min(lengths), FREE_PADDING)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(33, 64), min_size=17, max_size=60))
def test_bulk_is_served_while_interactive_never_ends(clients: int, lengths: list[int]) -> None:
    batcher = Batcher(8, 1000)
    bulk = Owner()
    batcher.add(b"bulk", bulk, make(bulk, lengths), bulk=True)
    served = 0
    for turn in range(BULK_TURN * len(lengths)):
        owner = Owner()
        batcher.add(b"%d" % (turn % clients), owner, make(owner, [10] * 8), bulk=False)
        batch = batcher.take()
        assert batch is not None
        served += sum(sequence.owner is bulk for sequence in batch.sequences)
    assert served == len(lengths)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10), st.integers(17, 100))
def test_interactive_waits_for_one_batch_behind_any_bulk(crowd: int, size: int) -> None:
    batcher = Batcher(16, 4000)
    for number in range(crowd):
        owner = Owner()
        batcher.add(b"bulk%d" % number, owner, make(owner, [40] * size), bulk=True)
    batcher.take()
    quick = Owner()
    batcher.add(b"quick", quick, make(quick, [40]), bulk=False)
    batch = batcher.take()
    assert batch is not None
    assert any(sequence.owner is quick for sequence in batch.sequences)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(20, 200), st.booleans())
def test_clients_take_turns(clients: int, requests: int, bulk: bool) -> None:
    """A client that comes last is served within one round, whatever the others have queued."""
    batcher = Batcher(4, 1000)
    for number in range(clients - 1):
        for _ in range(requests // 4):
            owner = Owner()
            batcher.add(b"%d" % number, owner, make(owner, [20] * 4), bulk)
    last = Owner()
    batcher.add(b"last", last, make(last, [300]), bulk)
    for _ in range(clients):
        batch = batcher.take()
        assert batch is not None
        if batch.sequences[0].owner is last:
            return
    raise AssertionError("the last client was not served in its turn")


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 300), st.integers(400, 2000), st.integers(1, 5))
def test_bulk_batches_are_short_while_interactive_requests_come_in(short: int, long: int, between: int) -> None:
    batcher = Batcher(256, long, short)
    bulk = Owner()
    batcher.add(b"bulk", bulk, make(bulk, [40] * 2000), bulk=True)

    def pieces_of_next() -> int:
        batch = batcher.take()
        assert batch is not None
        return sum(sequence.length for sequence in batch.sequences)

    assert long - 40 < pieces_of_next() <= long
    for _ in range(3):
        quick = Owner()
        batcher.add(b"quick", quick, make(quick, [39]), bulk=False)
        assert pieces_of_next() == 39
        for _ in range(between):
            assert pieces_of_next() <= short
    waited = 0
    while pieces_of_next() <= short:
        waited += 1
    assert waited <= INTERACTIVE_MEMORY


def test_similar_lengths_of_several_requests_share_a_batch() -> None:
    batcher = Batcher(64, 8192)
    for number in range(4):
        owner = Owner()
        batcher.add(b"%d" % number, owner, make(owner, [40, 200]), bulk=False)
    shapes = sorted(sorted(s.length for s in batch.sequences) for batch in drain(batcher))
    assert shapes == [[40] * 4, [200] * 4]


def test_groups_again_come_first_and_as_they_were() -> None:
    batcher = Batcher(64, 8192)
    first, second = Owner(), Owner()
    batcher.add(b"a", first, make(first, [10] * 3), bulk=False)
    batch = batcher.take()
    assert batch is not None
    batcher.add(b"b", second, make(second, [10]), bulk=False)
    batcher.add_again(Batch(batch.sequences, 1))
    assert batcher.take() == Batch(batch.sequences, 1)
    third = batcher.take()
    assert third is not None
    assert [s.owner for s in third.sequences] == [second]


def test_failed_requests_are_forgotten() -> None:
    batcher = Batcher(4, 100)
    failed, other = Owner(), Owner()
    batcher.add(b"a", failed, make(failed, [10] * 30), bulk=True)
    batcher.add(b"a", other, make(other, [10] * 2), bulk=True)
    batcher.add_again(Batch(make(failed, [10]), 1))
    failed.done = True
    batcher.discard(failed)
    batches = drain(batcher)
    assert [[s.owner for s in batch.sequences] for batch in batches] == [[other, other]]
    assert len(batcher) == 0


@settings(max_examples=100, deadline=None)
@given(REQUESTS, st.sets(st.sampled_from([b"a", b"b", b"c"])))
def test_paused_clients_wait_and_lose_nothing(requests: list[tuple[bytes, list[int]]], paused: set[bytes]) -> None:
    batcher = Batcher(8, 1000)
    put: dict[bool, list[Sequence]] = {True: [], False: []}
    for client, lengths in requests:
        sequences = make(Owner(), lengths)
        put[client in paused] += sequences
        batcher.add(client, sequences[0].owner, sequences, len(lengths) > 10)
    batcher.paused |= paused
    for part in (False, True):
        taken = [sequence for batch in drain(batcher) for sequence in batch.sequences]
        assert sorted(map(id, taken)) == sorted(map(id, put[part]))
        batcher.paused.clear()
    assert len(batcher) == 0
