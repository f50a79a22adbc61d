"""Figures of one load, measured once, and the median and spread of several."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class ClientTimes:
    """What one client did.

    Attributes:
        texts, pieces: sent and answered, after its warm-up.
        latencies: seconds of each request, from the call to its vectors.
        began, ended: seconds of one clock for all clients.
        processor_seconds: of the client's process.
    """

    texts: int
    pieces: int
    latencies: list[float]
    began: float
    ended: float
    processor_seconds: float


@dataclass(frozen=True)
class Sample:
    """
    Attributes:
        seconds: from the first request's start to the last answer.
        errors: 0: a run with errors ends without figures.
        latency_p50_ms: and the others: percentiles over requests, by linear interpolation.
        client_share: of all usable cores, taken by the clients' processes.
        memory_mb: proportional set size of the server's processes after the load; None where the system does not say.
        roof_gflops: of a large matrix product, the better of one before and one after; None if not measured.
        roof_share: tokens_per_second through the products of the model's layers, as a share of that.
    """

    seconds: float
    texts: int
    tokens: int
    requests: int
    errors: int
    texts_per_second: float
    tokens_per_second: float
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    client_share: float
    memory_mb: float | None = None
    roof_gflops: float | None = None
    roof_share: float | None = None


def sample_of(clients: Sequence[ClientTimes], cores: int, memory_mb: float | None = None) -> Sample:
    """Join what clients did at the same time."""
    seconds = max(client.ended for client in clients) - min(client.began for client in clients)
    texts = sum(client.texts for client in clients)
    tokens = sum(client.pieces for client in clients)
    latencies = [latency for client in clients for latency in client.latencies]
    milliseconds = zip(PERCENTILES, np.percentile(latencies, PERCENTILES) * 1000, strict=True)
    return Sample(
        seconds=seconds,
        texts=texts,
        tokens=tokens,
        requests=len(latencies),
        errors=0,
        texts_per_second=texts / seconds,
        tokens_per_second=tokens / seconds,
        **{f"latency_p{percent}_ms": float(value) for percent, value in milliseconds},
        client_share=sum(client.processor_seconds for client in clients) / (seconds * cores),
        memory_mb=memory_mb,
    )


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(samples: Sequence[Sample]) -> dict[str, dict[str, float] | None]:
    """:func:`spread` of every figure; None for one that was not measured."""
    result = {}
    for name in (field.name for field in fields(Sample)):
        values = [value for sample in samples if (value := getattr(sample, name)) is not None]
        result[name] = spread(values) if values else None
    return result
