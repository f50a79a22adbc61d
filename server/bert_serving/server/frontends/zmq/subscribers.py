"""Who listens at the result port: grants subscriptions, and knows when their readers are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Protocol

import zmq
from bert_serving.client.wire import topic_of
from bert_serving.server.frontends.zmq.connections import Guard, Peer, cut_off
from bert_serving.server.frontends.zmq.request import read_topic, user_of
from bert_serving.server.limits import Limits


class SubscriptionListener(Protocol):
    """Who is told of readers."""

    def subscribe(self, address: bytes) -> None:
        """Someone listens to this address from now on."""

    def unsubscribe(self, address: bytes) -> None:
        """One of those who listened to this address does so no more."""


class Subscribers:
    """Answers the subscriptions that come in through an XPUB socket with XPUB_MANUAL.

    libzmq says of most messages which connection they came from, and nothing of the unsubscriptions that it makes up
    itself when a connection ends; those stand for the connections that are found closed. So nobody can end the
    subscription of another.

    A subscription may be read when its connection has ended already, and its descriptor may be another's by then. The
    unsubscription that libzmq makes up is then explained by no closed connection. After a while it takes back a
    subscription of a connection that seems to have several: those with one, as clients have, are not in doubt.

    libzmq 4.3.5 grants a subscription to the peer whose *subscription* was the n-th since the queue was empty, n being
    the number of *messages* read since then. A message that is no subscription (no SUB socket sends any) therefore
    gives the next peer's results to the one after it. Its sender is cut off, and so is everyone else whose subscription
    is read before the queue is empty again: an honest socket connects and subscribes again by itself.

    Args:
        port: what the socket is bound to.
        limits: of a connection.
        keyed: whether the server has keys; then an identity belongs to the key of its client, see
            :func:`bert_serving.server.frontends.zmq.request.read_topic`.
        on_refusal: called with the reason when something is not granted.
        max_connections: of :attr:`guard`, which watches the port.
    """

    def __init__(
        self,
        replies: zmq.Socket[bytes],
        port: int,
        listener: SubscriptionListener,
        on_refusal: Callable[[str], None],
        limits: Limits,
        keyed: bool = False,
        max_connections: int | None = None,
    ) -> None:
        self._port = port
        self._limits = limits
        self.guard = Guard(port, limits.zmq_max_subscription_bytes, limits.zmq_max_unended_bytes, max_connections)
        self._keyed = keyed
        self._socket = replies
        self._listener = listener
        self._on_refusal = on_refusal
        self._subscribers: dict[bytes, Counter[Peer]] = {}
        self._denied: dict[bytes, set[Peer]] = {}
        self._addresses: Counter[Peer] = Counter()
        self._owed: list[Counter[bytes]] = [Counter(), Counter()]
        self._unexplained: dict[bytes, int] = {}
        self._unknown = count()
        self._out_of_step = False
        self._cut: set[int] = set()

    def drain(self) -> None:
        """Take in what has come. A subscription is granted in the step that reads it, as XPUB_MANUAL wants it."""
        while not self._socket.closed:
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._out_of_step = False
                self._cut.clear()
                return
            self.guard.heard(frame)
            message = frame.bytes
            user = user_of(frame) if self._keyed else None
            self._receive(message[:1], message[1:], user, Peer.of(frame, self._port))

    def _receive(self, kind: bytes, topic: bytes, user: bytes | None, peer: Peer | None) -> None:
        if kind not in (b"\0", b"\1"):
            self._out_of_step = True
            self._refuse(peer, "a message that is no subscription came to the result port")
            return
        identity, _, key = topic.partition(b"\0")
        address = topic_of(identity, key)
        if kind == b"\0":
            self._end(address, peer)
        elif self._out_of_step or (peer is not None and peer.descriptor in self._cut):
            self._deny(address, peer)
            self._cut_off(peer)  # a descriptor that was cut off may be another's by now, and nobody can tell
        elif read_topic(topic, user, self._limits.zmq_max_identity_bytes) is None:
            self._deny(address, peer)
            self._on_refusal(f"a subscription to {topic[:64]!r} was refused")
        else:
            self._grant(address, peer or Peer(-1, next(self._unknown)))

    def look_at(self, address: bytes) -> None:
        """Find out now whose connection has ended; libzmq says so a little later, and drops replies meanwhile."""
        if closed := [one for one in self._subscribers.get(address, ()) if not one.is_open]:
            explained = self._unexplained.pop(address, None) is not None
            self._owed[-1][address] += len(closed) - explained
            self._remove(address, closed)

    def sweep(self) -> None:
        """Look once more for closed connections where a reader went and none was found closed; about once a second."""
        self._owed = [self._owed[-1], Counter()]  # what libzmq makes up comes sooner
        for address, looks in list(self._unexplained.items()):
            self._unexplained[address] = looks + 1
            self.look_at(address)
            if address in self._unexplained and (looks or address not in self._subscribers):
                del self._unexplained[address]
                self._take_back(address)

    def _grant(self, address: bytes, peer: Peer) -> None:
        if self._addresses[peer] >= self._limits.zmq_max_identities:
            self._deny(address, peer)
            self._refuse(peer, f"one connection subscribes to more than {self._limits.zmq_max_identities} identities")
            return
        self._socket.setsockopt(zmq.SUBSCRIBE, address)
        readers = self._subscribers.setdefault(address, Counter())
        readers[peer] += 1
        if readers[peer] == 1:
            self._addresses[peer] += 1
            self._listener.subscribe(address)

    def _deny(self, address: bytes, peer: Peer | None) -> None:
        """Remember a subscription that is not granted: libzmq makes up its end too."""
        if peer is not None and peer not in self._denied.setdefault(address, set()):
            self._denied[address].add(peer)
            self._addresses[peer] += 1

    def _end(self, address: bytes, peer: Peer | None) -> None:
        readers = self._subscribers.get(address, Counter())
        if peer is not None:
            if peer in readers and not self._out_of_step:
                self._socket.setsockopt(zmq.UNSUBSCRIBE, address)
            ended = [one for one in readers if not one.is_open]
            # its descriptor may be another's by now
            self._remove(address, [peer] if peer in readers else ended[:1])
        elif owed := next((owed for owed in self._owed if owed[address] > 0), None):
            owed[address] -= 1
        elif denied := [one for one in self._denied.get(address, ()) if not one.is_open]:
            self._allow(address, denied[0])
        elif gone := [one for one in readers if not one.is_open] or [one for one in readers if one.descriptor < 0][:1]:
            self._owed[-1][address] += len(gone) - 1
            self._remove(address, gone)
        elif readers:
            self._unexplained.setdefault(address, 0)

    def _take_back(self, address: bytes) -> None:
        """A subscription of a connection that has several: it was another's, which has ended."""
        readers = self._subscribers.get(address, Counter())
        doubtful = [one for one, count in readers.items() if count > 1 or self._addresses[one] > 1]
        if doubtful and readers[doubtful[-1]] > 1:
            readers[doubtful[-1]] -= 1
        else:
            self._remove(address, doubtful[-1:])

    def _allow(self, address: bytes, peer: Peer) -> None:
        """Forget one that was denied."""
        self._denied[address].discard(peer)
        if not self._denied[address]:
            del self._denied[address]
        self._forget(peer)

    def _forget(self, peer: Peer) -> None:
        self._addresses[peer] -= 1
        if not self._addresses[peer]:
            del self._addresses[peer]

    def _remove(self, address: bytes, gone: list[Peer]) -> None:
        for one in gone:
            del self._subscribers[address][one]
            self._forget(one)
            self._listener.unsubscribe(address)
        if not self._subscribers.get(address, True):
            del self._subscribers[address]

    def _refuse(self, peer: Peer | None, reason: str) -> None:
        self._on_refusal(f"{reason}; the peer is cut off")
        self._cut_off(peer)

    def _cut_off(self, peer: Peer | None) -> None:
        if peer is not None:
            self._cut.add(peer.descriptor)
            if peer.is_open:
                cut_off(peer.descriptor, self._port)
