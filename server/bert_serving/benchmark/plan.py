"""What is measured: points on axes, and which of them one server can serve."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bert_serving.benchmark.options import AXIS_DEFAULTS, BenchmarkOptions
from bert_serving.benchmark.sample import Sample
from bert_serving.benchmark.server_process import with_free_ports
from bert_serving.benchmark.workload import Workload
from bert_serving.server.options import ServerOptions
from bert_serving.server.settings import Settings, resolve

from bert_ft.errors import BertFtError

DEFAULT_BATCH = 256
LONG_REQUEST_PIECES = 8192
"""Most pieces of a request on the axis of length, unless -client_batch_size is given."""
ALONE, BESIDE, BULK, BULK_BESIDE, MANY = "one alone", "one beside bulk", "bulk alone", "bulk beside one", "many"
AXES = (*AXIS_DEFAULTS, "pooling_layer")


class ClientPlan(NamedTuple):
    """One client: its texts begin at ``first`` and go on by ``step`` (0: always the same).

    Attributes:
        batch_size: texts of a request.
        requests: how many it sends; None: until the time is over, or the clients with a number of their own are done.
    """

    first: int
    batch_size: int
    step: int = 1
    requests: int | None = None


class Load(NamedTuple):
    """What the clients send together; ``length`` chooses the texts (None: the workload as it is)."""

    clients: tuple[ClientPlan, ...]
    seconds: float | None
    length: int | None = None


@dataclass(eq=False)
class Point:
    """One row of a table.

    Attributes:
        clients: those of the load whose figures it shows.
        samples: one for each repeat.
    """

    label: str
    value: int | None
    clients: slice = field(default_factory=lambda: slice(None))
    samples: list[Sample] = field(default_factory=list)

    def median(self, figure: str) -> float:
        return statistics.median(getattr(sample, figure) for sample in self.samples)


@dataclass
class Axis:
    name: str
    held: str
    points: list[Point] = field(default_factory=list)


@dataclass
class Session:
    """One server and what is asked of it; a load that several axes have in common is measured once.

    Attributes:
        long: the texts of loads with a length.
    """

    options: ServerOptions
    settings: Settings
    long: Workload | None = None
    loads: dict[Load, list[Point]] = field(default_factory=dict)


class Plan:
    """
    Attributes:
        axes: in the order of the report.
        sessions: in the order of the measurement.
        notes: what was left out and why.

    Raises:
        BertFtError: a value does not fit the model; nothing was started.
    """

    def __init__(self, options: BenchmarkOptions, settings: Settings, workload: Workload) -> None:
        self.options = options
        self.settings = settings
        self.workload = workload
        self._sessions: dict[ServerOptions, Session] = {}
        self.notes: list[str] = []
        self.axes = [self._axis(name, values) for name, values in self._values().items()]
        if options.test_mixed:
            self.axes.append(self._mixed())

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    @property
    def loads(self) -> int:
        return sum(len(session.loads) for session in self.sessions)

    def _values(self) -> dict[str, tuple[int, ...]]:
        """The axes that are named with their values; if none is, all of them with default values."""
        named = {name: tuple(dict.fromkeys(getattr(self.options, f"test_{name}"))) for name in AXES}
        named = {name: values for name, values in named.items() if values}
        needs_pooler = self.settings.options.pooling_strategy.needs_pooler
        if "pooling_layer" in named and needs_pooler:
            strategy = self.settings.options.pooling_strategy.name
            raise BertFtError(
                f"-test_pooling_layer: -pooling_strategy {strategy} reads the top layer alone; leave it out"
            )
        if named or self.options.test_mixed:
            return named
        maximum = self.settings.directory.config.max_position_embeddings
        defaults: dict[str, tuple[int, ...]] = dict(AXIS_DEFAULTS)
        defaults["max_seq_len"] = tuple(length for length in defaults["max_seq_len"] if length <= maximum)
        if needs_pooler:
            self.notes.append("no sweep of pooling_layer: this pooling strategy reads the top layer alone")
            return defaults
        depth = self.settings.directory.config.num_hidden_layers
        layers = (-1, -max(1, depth // 4), -max(1, depth // 2), -depth)
        return defaults | {"pooling_layer": tuple(dict.fromkeys(layers))}

    def _axis(self, name: str, values: tuple[int, ...]) -> Axis:
        batch = self.options.client_batch_size or (1 if name == "num_client" else DEFAULT_BATCH)
        clients = self.options.num_client
        held = {
            "client_batch_size": f"{batch} text{'s' * (batch > 1)} a request",
            "num_client": f"{clients} client{'s' * (clients > 1)}",
        }
        if name == "max_seq_len" and not self.options.client_batch_size:
            held["client_batch_size"] = f"{LONG_REQUEST_PIECES} pieces a request, {batch} texts at most"
        points = [self._point(name, value, batch, clients) for value in values]
        return Axis(name, ", ".join(text for other, text in held.items() if other != name), points)

    def _point(self, name: str, value: int, batch: int, clients: int) -> Point:
        server: dict[str, Any] = {}
        length = None
        if name == "client_batch_size":
            batch = value
        elif name == "num_client":
            clients = value
        else:
            server = {name: (value,) if name == "pooling_layer" else value}
        if name == "max_seq_len":
            length = value
            if not self.options.client_batch_size:
                batch = max(1, min(batch, LONG_REQUEST_PIECES // value))
        count = len(self.workload.texts)
        plans = tuple(ClientPlan(number * count // clients, batch) for number in range(clients))
        return self._place(server, Load(plans, self.options.seconds, length), Point(str(value), value))

    def _mixed(self) -> Axis:
        options = self.options
        short = ClientPlan(self.workload.short_text, 1, step=0)
        bulk = ClientPlan(0, options.bulk_texts, requests=1)
        count = len(self.workload.texts)
        many = tuple(ClientPlan(k * count // options.mixed_clients, 1) for k in range(options.mixed_clients))
        pieces = int(self.workload.pieces[short.first])
        held = (
            f"one: a text of {pieces} pieces at a time; bulk: one request of {options.bulk_texts} texts; "
            f"many: {options.mixed_clients} clients, a text at a time each"
        )
        together = Load((short, bulk), None)
        loads = (
            (Load((short,), options.seconds), ALONE, slice(None)),
            (together, BESIDE, slice(0, 1)),
            (together, BULK_BESIDE, slice(1, 2)),
            (Load((bulk,), None), BULK, slice(None)),
            (Load(many, options.seconds), MANY, slice(None)),
        )
        return Axis("mixed", held, [self._place({}, load, Point(label, None, own)) for load, label, own in loads])

    def _place(self, server: dict[str, Any], load: Load, point: Point) -> Point:
        options = replace(self.options.server, **server)
        if options not in self._sessions:
            self._sessions[options] = Session(options, resolve(with_free_ports(options)))
        session = self._sessions[options]
        if load.length is not None and session.long is None:
            session.long = self.workload.as_long_as(load.length, session.settings)
        session.loads.setdefault(load, []).append(point)
        return point


def in_turn(sessions: list[Session], repeats: int) -> Iterator[tuple[Session, list[Load]]]:
    """Every session once a repeat, there and back again, so that a slow drift of the machine hits all alike."""
    for repeat in range(repeats):
        step = -1 if repeat % 2 else 1
        for session in sessions[::step]:
            yield session, list(session.loads)[::step]
