"""Joins the sequences of all requests into batches. A plain data structure: no clock, no thread, no socket."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import NamedTuple, Protocol

from bert_ft.text.packing import InputFeatures

FREE_PADDING = 32
"""Texts up to this many pieces go together whatever their length: padding them costs next to nothing."""
BULK_TURN = 4
"""While both lanes hold work, one batch in this many is bulk."""
INTERACTIVE_MEMORY = 32
"""So many bulk batches after an interactive one are short, since the next request is likely to come."""
MAX_REQUESTS = 256
"""Requests looked at to fill one batch."""


class Owner(Protocol):
    """The request a sequence belongs to."""

    done: bool


@dataclass(slots=True, eq=False)
class Sequence:
    """One text of a request, or one window of a text: its place there, and its pieces.

    Attributes:
        output: what the engine is asked for.
        first_pieces: positions of the pieces that the head's reader looks at, if it looks at single ones.
    """

    owner: Owner
    index: int
    features: InputFeatures
    output: str
    first_pieces: list[int] | tuple[()] = ()

    @property
    def length(self) -> int:
        return len(self.features.ids)


class Batch(NamedTuple):
    """Sequences that go to a worker together; ``losses`` counts the workers that died of them."""

    sequences: list[Sequence]
    losses: int = 0


class _Pending:
    """What is left of one request, by length."""

    def __init__(self, client: bytes) -> None:
        self.client = client
        self.sequences: list[Sequence] = []

    def near(self, length: int, maximum: int) -> slice:
        """Up to ``maximum`` sequences on each side of ``length`` that may share a batch with it."""
        low = bisect_left(self.sequences, _shortest_mate(length), key=_length)
        middle = bisect_right(self.sequences, length, key=_length)
        high = bisect_right(self.sequences, _longest_mate(length), key=_length)
        return slice(max(low, middle - maximum), min(high, middle + maximum))


class _Queue:
    """Requests by client; each batch begins with the next client's oldest request."""

    def __init__(self, paused: set[bytes]) -> None:
        self._paused = paused
        self._clients: OrderedDict[bytes, deque[_Pending]] = OrderedDict()
        self._requests: dict[int, _Pending] = {}
        self.size = 0

    def add(self, client: bytes, owner: Owner, sequences: list[Sequence]) -> None:
        pending = self._requests.get(id(owner))
        if pending is None:
            pending = self._requests[id(owner)] = _Pending(client)
            self._clients.setdefault(client, deque()).append(pending)
        pending.sequences.extend(sequences)
        pending.sequences.sort(key=_length)
        self.size += len(sequences)

    def discard(self, owner: Owner) -> None:
        pending = self._requests.get(id(owner))
        if pending is not None:
            self.size -= len(pending.sequences)
            self._drop(id(owner))

    def owners(self) -> set[int]:
        return set(self._requests)

    def take(self, max_sequences: int, max_tokens: int) -> list[Sequence]:
        """The next batch; empty if nothing waits."""
        client = next((one for one in self._clients if one not in self._paused), None)
        if client is None:
            return []
        requests = self._clients[client]
        seed = requests[0].sequences[-1]
        visited: list[tuple[_Pending, slice]] = []
        candidates: list[Sequence] = []
        for pending in islice(self._in_turn(), MAX_REQUESTS):
            part = pending.near(seed.length, max_sequences)
            visited.append((pending, part))
            candidates += pending.sequences[part]
            if len(candidates) >= 2 * max_sequences:
                break
        chosen = _nearest(seed, candidates, max_sequences, max_tokens)
        self._remove(chosen, visited)
        if client in self._clients:
            self._clients.move_to_end(client)
        return chosen

    def _in_turn(self) -> Iterator[_Pending]:
        """The oldest request of each client, then the second of each, and so on."""
        rounds = zip_longest(*(requests for client, requests in self._clients.items() if client not in self._paused))
        return (pending for pending in chain.from_iterable(rounds) if pending is not None)

    def _remove(self, chosen: list[Sequence], visited: list[tuple[_Pending, slice]]) -> None:
        taken = set(map(id, chosen))
        owners = {id(sequence.owner) for sequence in chosen}
        for pending, part in visited:
            pending.sequences[part] = [s for s in pending.sequences[part] if id(s) not in taken]
        for owner in owners:
            if not self._requests[owner].sequences:
                self._drop(owner)
        self.size -= len(chosen)

    def _drop(self, owner: int) -> None:
        pending = self._requests.pop(owner)
        requests = self._clients[pending.client]
        requests.remove(pending)
        if not requests:
            del self._clients[pending.client]


class Batcher:
    """Two lanes, interactive and bulk, and batches that are tried again.

    A batch holds at most ``max_sequences`` texts and ``long`` pieces (a longer text is a batch of its own), and
    its longest text is at most twice as long as its shortest, so that a padded view of it is at most twice its
    pieces (texts up to :data:`FREE_PADDING` pieces apart). Interactive requests go first; bulk has every
    :data:`BULK_TURN`-th batch even then. While interactive requests come in, a bulk batch holds ``short`` pieces,
    so that they need not wait long for it. In each lane clients take turns.

    Attributes:
        long: most pieces of a batch; may be changed at any time.
        short: most pieces of a bulk batch while interactive requests come in.
        paused: clients whose requests wait, because they do not read their answers.
    """

    def __init__(self, max_sequences: int, long: int, short: int | None = None) -> None:
        self._max_sequences = max_sequences
        self.long = long
        self.short = long if short is None else short
        self.paused: set[bytes] = set()
        self._interactive = _Queue(self.paused)
        self._bulk = _Queue(self.paused)
        self._again: deque[Batch] = deque()
        self._since_bulk = 0
        self._since_interactive = INTERACTIVE_MEMORY

    def __len__(self) -> int:
        """Sequences that wait."""
        return self._interactive.size + self._bulk.size + sum(len(batch.sequences) for batch in self._again)

    def add(self, client: bytes, owner: Owner, sequences: list[Sequence], bulk: bool) -> None:
        """Queue sequences of one request; may be called again with more of the same request."""
        if sequences:
            (self._bulk if bulk else self._interactive).add(client, owner, sequences)

    def discard(self, owner: Owner) -> None:
        """Forget what is left of a request that was answered with an error."""
        self._interactive.discard(owner)
        self._bulk.discard(owner)

    def owners(self) -> set[int]:
        """The ids of all requests of which something waits."""
        again = {id(sequence.owner) for batch in self._again for sequence in batch.sequences}
        return again | self._interactive.owners() | self._bulk.owners()

    def add_again(self, batch: Batch) -> None:
        """Queue a batch that a worker did not finish; it is the next batch, as it is."""
        self._again.append(batch)

    def take(self) -> Batch | None:
        """The next batch, or None if nothing waits."""
        while self._again:
            batch = self._again.popleft()
            sequences = [sequence for sequence in batch.sequences if not sequence.owner.done]
            if sequences:
                return Batch(sequences, batch.losses)
        bulk_first = self._since_bulk >= BULK_TURN - 1
        queues = (self._bulk, self._interactive) if bulk_first else (self._interactive, self._bulk)
        for queue in queues:
            bulk = queue is self._bulk
            hurry = bulk and self._since_interactive < INTERACTIVE_MEMORY
            sequences = queue.take(self._max_sequences, self.short if hurry else self.long)
            if sequences:
                self._since_bulk = 0 if bulk else self._since_bulk + 1
                self._since_interactive = self._since_interactive + 1 if bulk else 0
                return Batch(sequences)
        return None


def _nearest(seed: Sequence, candidates: list[Sequence], max_sequences: int, max_tokens: int) -> list[Sequence]:
    """The seed and its nearest neighbours by length, as far as the budgets and the padding rule go."""
    ordered = sorted(candidates, key=_length)
    right = next(place for place, sequence in enumerate(ordered) if sequence is seed) + 1
    left = right - 2
    chosen, tokens = [seed], seed.length
    shortest = longest = seed.length
    while len(chosen) < max_sequences:
        below = ordered[left] if left >= 0 and longest <= _longest_mate(ordered[left].length) else None
        above = ordered[right] if right < len(ordered) and ordered[right].length <= _longest_mate(shortest) else None
        if below is None and above is None:
            break
        if above is None or (below is not None and shortest - below.length <= above.length - longest):
            assert below is not None
            pick, shortest, left = below, below.length, left - 1
        else:
            pick, longest, right = above, above.length, right + 1
        if tokens + pick.length > max_tokens:
            break
        chosen.append(pick)
        tokens += pick.length
    return chosen


def _length(sequence: Sequence) -> int:
    return len(sequence.features.ids)


def _longest_mate(shortest: int) -> int:
    return max(2 * shortest, FREE_PADDING)


def _shortest_mate(longest: int) -> int:
    return 1 if longest <= FREE_PADDING else (longest + 1) // 2
