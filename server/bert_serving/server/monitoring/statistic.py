"""Counts of requests as SHOW_STATUS reports them."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from typing import Any

ACTIVE_SECONDS = 180
CLIENTS_KEPT = 500
ACTIVE_CLIENTS_KEPT = 10_000
SIZES_KEPT = 1000
INTERVALS_KEPT = 200


class Statistic:
    """The legacy ``statistic`` object.

    Counts by client are kept for the :data:`CLIENTS_KEPT` last seen clients; intervals for the last
    :data:`INTERVALS_KEPT` data requests. Active clients are counted up to :data:`ACTIVE_CLIENTS_KEPT`.
    """

    def __init__(self) -> None:
        self._system_requests = 0
        self._data_requests = 0
        self._sequences = 0
        self._forgotten_clients = 0
        self._by_client: OrderedDict[bytes, int] = OrderedDict()
        self._last_data: OrderedDict[bytes, float] = OrderedDict()
        self._sizes: Counter[int] = Counter()
        self._intervals: deque[float] = deque(maxlen=INTERVALS_KEPT)
        self._last_time: float | None = None

    def add_system_request(self, client: bytes) -> None:
        self._system_requests += 1
        self._count(client)

    def add_data_request(self, client: bytes, size: int) -> None:
        now = time.monotonic()
        self._data_requests += 1
        self._sequences += size
        self._sizes[size] += 1
        if len(self._sizes) > SIZES_KEPT:
            self._forget_a_size()
        if self._last_time is not None:
            self._intervals.append(now - self._last_time)
        self._last_time = now
        self._last_data[client] = now
        self._last_data.move_to_end(client)
        while len(self._last_data) > ACTIVE_CLIENTS_KEPT or now - next(iter(self._last_data.values())) > ACTIVE_SECONDS:
            self._last_data.popitem(last=False)
        self._count(client)

    def has_seen(self, client: bytes) -> bool:
        return client in self._by_client

    def report(self) -> dict[str, float | int]:
        """The legacy keys; groups about data requests are absent before the first (interval: second) one."""
        now = time.monotonic()
        report: dict[str, float | int] = {
            "num_data_request": self._data_requests,
            "num_total_seq": self._sequences,
            "num_sys_request": self._system_requests,
            "num_total_request": self._data_requests + self._system_requests,
            "num_total_client": len(self._by_client) + self._forgotten_clients,
            "num_active_client": sum(now - last < ACTIVE_SECONDS for last in self._last_data.values()),
        }
        report |= _group("request_per_client", Counter(self._by_client.values()))
        report |= _group("size_per_request", self._sizes, self._sequences, self._data_requests)
        report |= _group("last_two_interval", Counter(self._intervals))
        rates = Counter(1 / interval for interval in self._intervals if interval > 0)
        return report | _group("request_per_second", rates, len(self._intervals), sum(self._intervals))

    def _forget_a_size(self) -> None:
        """One between the smallest and the largest, which alone are reported."""
        ends = (min(self._sizes), max(self._sizes))
        del self._sizes[next(size for size in self._sizes if size not in ends)]

    def _count(self, client: bytes) -> None:
        self._by_client[client] = self._by_client.get(client, 0) + 1
        self._by_client.move_to_end(client)
        if len(self._by_client) > CLIENTS_KEPT:
            self._by_client.popitem(last=False)
            self._forgotten_clients += 1


def _group(name: str, counts: Counter[Any], total: float | None = None, parts: float = 0) -> dict[str, float | int]:
    """Of values and how often each was there; their average is ``total / parts``, if those are given."""
    if not counts:
        return {}
    least, maximum = min(counts), max(counts)
    return {
        f"avg_{name}": sum(counts.elements()) / counts.total() if total is None else total / parts,
        f"min_{name}": least,
        f"max_{name}": maximum,
        f"num_min_{name}": counts[least],
        f"num_max_{name}": counts[maximum],
    }
