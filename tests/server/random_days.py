"""Random days of a whole server: whatever its callers and workers do, three things hold after every hour.

Every request is answered, refused, or its caller is gone; no answer is another's; memory, descriptors and what waits
are back where they were.

``python -m tests.server.random_days --minutes 30`` goes through one day after another and names the seed of one that
fails; ``--seed N`` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import zmq
from bert_serving.server.limits import Limits

from bert_ft.checkpoint.fingerprint import ModelPlace, fingerprint
from bert_ft.files.replace import replaced_directory
from tests.engines.dummy import DUMMY
from tests.server.support import IDS, RawClient, RunningServer, free_ports
from tests.server.wanted import CRASH, FAULT, LETTERS, Wanted

IMPATIENT = Limits(http_header_seconds=2, zmq_hold_seconds=3, zmq_gone_seconds=1)
"""The server's own limits would make a day last for an hour."""
PATIENCE = 90.0
MEMORY_MB = 80
"""What the server's process may have taken since its first hour."""


@dataclass
class Guest:
    """A ZeroMQ client and what it waits for."""

    client: RawClient
    pending: dict[int, Wanted] = field(default_factory=dict)


class Day:
    """One server, and everything that happens to it.

    Args:
        folder: a model directory without weights, which is changed.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.counts: dict[str, int] = {}
        self.models = {fingerprint(ModelPlace(str(folder))): 0}
        self.answers = self.refusals = 0
        self._number = 0
        self._model = 0
        self._guests: list[Guest] = []
        self._callers: list[tuple[socket.socket, Wanted]] = []
        self._stopped: list[tuple[int, float]] = []
        port, port_out, self.http_port = free_ports(3)
        flags = {"-model_dir": folder, "-engine": DUMMY, "-port": port, "-port_out": port_out, "-num_worker": 2,
                 "-http_port": self.http_port, "-max_batch_size": 8, "-max_queue": 60,
                 "-worker_timeout": 1}  # fmt: skip
        options = {"head": "classification", "batch_seconds": 0.002, "crash_id": IDS[CRASH], "error_id": IDS[FAULT]}
        arguments = [str(part) for pair in flags.items() for part in pair]
        for name, value in options.items():
            arguments += ["-engine_option", f"{name}={value}"]
        self.server = RunningServer(arguments, port, port_out, limits=IMPATIENT)
        try:
            self.server.wait_for("all set, ready to serve request!", timeout=60)
        except BaseException:
            self.server.process.kill()
            raise
        self._watcher = RawClient(self.server, b"watcher")
        self._watcher.ask(b"SHOW_CONFIG")
        self._descriptors = self._memory = 0.0

    def run(self, hours: int) -> None:
        try:
            for _ in range(hours):
                for _ in range(self.rng.randint(1, 12)):
                    action = self.rng.choices(ACTIONS, [weight for _, weight in _WEIGHTS])[0]
                    self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1
                    action(self)
                self._settle()
            assert self.server.end() == 0, self.server.log
            assert not _faults(self.server.log), _faults(self.server.log)
        finally:
            self.server.process.kill()
            self.server.exit_status()
            for guest in self._guests:
                guest.client.close()
            self._watcher.close()

    # --- what may happen

    def good_request(self) -> None:
        guest = self._a_guest()
        self._send(guest, Wanted(self._texts(), self.rng.choice(["encode", "classify"])))

    def deadly_request(self) -> None:
        texts = self._texts()
        texts[self.rng.randrange(len(texts))] += " " + self.rng.choice([CRASH, FAULT])
        self._send(self._a_guest(), Wanted(texts))

    def bad_request(self) -> None:
        guest, texts = self._a_guest(), self._texts()
        payload, count, more = self.rng.choice([
            (b"no JSON", 1, []), (json.dumps(texts).encode(), len(texts) + 1, []), (b"[]", 0, []), (b'[""]', 1, []),
            ('["今天"]'.encode("gbk"), 1, []), (b'["a", 1]', 2, []), (b'["a"]', 1, [b'{"task": "sing"}']),
            (b'["a"]', 1, [b"[]"]), (b'["a"]', 1, [b"{}", b"more"]),
        ])  # fmt: skip
        guest.pending[self._next()] = Wanted(texts, is_bad=True)
        guest.client.send(payload, self._number, count, *more)

    def garbage(self) -> None:
        """Messages that no answer can be given to."""
        guest = self._a_guest()
        guest.client.push.send_multipart(self.rng.choice([[b""], [b"x", b"y"], [b"", b"[]", b"1", b"1"], [b"x"] * 9]))

    def http_request(self) -> None:
        task = self.rng.choice(["encode", "classify"])
        wanted = Wanted(self._texts(), task)
        self._post(f"/{task}", json.dumps({"id": 1, "texts": wanted.texts}).encode(), wanted)

    def deadly_http_request(self) -> None:
        wanted = Wanted([*self._texts(), f"a {self.rng.choice([CRASH, FAULT])}"])
        self._post("/encode", json.dumps({"id": 1, "texts": wanted.texts}).encode(), wanted)

    def bad_http_request(self) -> None:
        body = self.rng.choice(
            [b"{", b'{"id": NaN, "texts": ["a"]}', b'{"id": 1}', b"\x1f\x8b", b'{"id":1,"texts":[]}']
        )
        self._post("/encode", body, Wanted([], is_bad=True))

    def half_sent_http_request(self) -> None:
        self._connect_http(b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{").close()
        self._connect_http(b"POST /enc").close()

    def http_caller_hangs_up(self) -> None:
        if self._callers:
            connection, _ = self._callers.pop(self.rng.randrange(len(self._callers)))
            connection.close()

    def guest_goes(self) -> None:
        if self._guests:
            self._guests.pop(self.rng.randrange(len(self._guests))).client.close()

    def guest_listens_anew(self) -> None:
        """Its answers are held meanwhile."""
        guest = self._a_guest()
        guest.client.sub.setsockopt(zmq.UNSUBSCRIBE, guest.client.identity)
        if self.rng.random() < 0.5:
            self.good_request()
        guest.client.sub.setsockopt(zmq.SUBSCRIBE, guest.client.identity)

    def worker_dies(self) -> None:
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.rng.choice(self.server.children()), signal.SIGKILL)

    def worker_stalls(self) -> None:
        """For less than -worker_timeout, or until it is killed for it."""
        with contextlib.suppress(ProcessLookupError, IndexError):
            pid = self.rng.choice(self.server.children())
            os.kill(pid, signal.SIGSTOP)
            self._stopped.append((pid, time.monotonic() + self.rng.choice([0.1, 0.5, 60])))

    def model_is_replaced(self) -> None:
        self._model += 1
        with replaced_directory(self.folder, "bert_ft.json") as staging:
            for path in self.folder.iterdir():
                shutil.copy(path, staging)
            (staging / "bert_model.ckpt.index").write_text(str(self._model % 50))
        self.models[fingerprint(ModelPlace(str(self.folder)))] = self._model % 50

    def reload(self) -> None:
        if self.rng.random() < 0.7:
            self.model_is_replaced()
        if self.rng.random() < 0.3:
            self.server.process.send_signal(signal.SIGHUP)
        else:
            guest = self._a_guest()
            guest.pending[self._next()] = Wanted([], "reload")
            guest.client.send(b"RELOAD", self._number)

    def pause(self) -> None:
        time.sleep(self.rng.uniform(0, 0.3))

    # --- what holds

    def _settle(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while any(guest.pending for guest in self._guests) or self._callers:
            assert time.monotonic() < deadline, f"not answered: {self._left()}"
            assert self.server.process.poll() is None, self.server.log
            self._wake(time.monotonic())
            for guest in self._guests:
                self._collect(guest)
            self._collect_http()
        self._wake(float("inf"))
        while (found := self._out_of_place()) is not None:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def _collect(self, guest: Guest) -> None:
        while guest.client.sub.poll(5):
            frames = guest.client.sub.recv_multipart()
            number = int(frames[-1])
            assert number in guest.pending, f"answer {number} was not asked for"
            wanted = guest.pending.pop(number)
            header = json.loads(frames[1])
            if "error" in header:
                if wanted.task != "reload":
                    wanted.check_error(header["error"]["code"])
                self.refusals += 1
            elif wanted.task == "reload":
                assert header["model_fingerprint"] in self.models
            else:
                vectors = (
                    json.loads(frames[2])
                    if wanted.task == "classify"
                    else np.frombuffer(frames[2], header["dtype"]).reshape(header["shape"])
                )
                wanted.check(self.models[header["model"]], vectors)
                self.answers += 1

    def _collect_http(self) -> None:
        for connection, wanted in list(self._callers):
            connection.settimeout(0.01)
            try:
                if not connection.recv(1, socket.MSG_PEEK):
                    raise AssertionError(f"{wanted} has no answer")
            except TimeoutError:
                continue
            connection.settimeout(20)
            data = b""
            while part := connection.recv(1 << 20):
                data += part
            connection.close()
            self._callers.remove((connection, wanted))
            answer = json.loads(data.partition(b"\r\n\r\n")[2])
            if answer["status"] == 200:
                wanted.check(self.models[answer["model"]], answer["result"])
                self.answers += 1
            else:
                wanted.check_error(answer["type"])
                self.refusals += 1

    def _out_of_place(self) -> str | None:
        """What is not back where it was; None if all is."""
        status = self._watcher.ask(b"SHOW_STATUS", self._next())
        queue = status["queue"]
        waiting = {name: queue[name] for name in queue if name.startswith("waiting_")}
        if any(waiting.values()) or queue["models"] != 1 or queue["listening_identities"] != 1 + len(self._guests):
            return f"{queue} with {len(self._guests)} guests"
        if any(worker["state"] != "idle" for worker in status["workers"]):
            return f"workers {status['workers']}"
        if len(children := self.server.children()) != 2:
            return f"{len(children)} children"
        descriptors = len(os.listdir(f"/proc/{self.server.pid}/fd")) - 2 * len(self._guests)
        memory = int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        if not self._descriptors:
            self._descriptors, self._memory = descriptors, memory
        if descriptors > self._descriptors:
            return f"{descriptors} descriptors, {self._descriptors} at first"
        return None if memory < self._memory + MEMORY_MB else f"{memory:.0f} MB, {self._memory:.0f} at first"

    def _left(self) -> str:
        return f"{[guest.pending for guest in self._guests]}, {self._callers}\n{self.server.log[-5000:]}"

    # --- means

    def _a_guest(self) -> Guest:
        if not self._guests or (len(self._guests) < 5 and self.rng.random() < 0.3):
            client = RawClient(self.server, b"guest-%d" % self._next())
            client.ask(b"SHOW_CONFIG", self._next())  # it listens
            self._guests.append(Guest(client))
        return self.rng.choice(self._guests)

    def _send(self, guest: Guest, wanted: Wanted) -> None:
        guest.pending[self._next()] = wanted
        more = [] if wanted.task == "encode" else [json.dumps({"task": wanted.task}).encode()]
        guest.client.send(wanted.texts, self._number, None, *more)

    def _post(self, path: str, body: bytes, wanted: Wanted) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        self._callers.append((self._connect_http(head.encode() + body), wanted))

    def _connect_http(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.http_port), timeout=20)
        connection.sendall(data)
        return connection

    def _texts(self) -> list[str]:
        count = self.rng.choice([1, 1, 2, 5, 20, 100, 300])
        return [" ".join(self.rng.choices(LETTERS, k=self.rng.randint(1, 30))) for _ in range(count)]

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _wake(self, now: float) -> None:
        for pid, until in list(self._stopped):
            if until < now:
                self._stopped.remove((pid, until))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


_WEIGHTS: list[tuple[Callable[[Day], None], int]] = [
    (Day.good_request, 20),
    (Day.http_request, 15),
    (Day.bad_request, 6),
    (Day.bad_http_request, 4),
    (Day.garbage, 2),
    (Day.deadly_request, 3),
    (Day.deadly_http_request, 2),
    (Day.half_sent_http_request, 2),
    (Day.http_caller_hangs_up, 5),
    (Day.guest_goes, 3),
    (Day.guest_listens_anew, 4),
    (Day.worker_dies, 4),
    (Day.worker_stalls, 2),
    (Day.model_is_replaced, 1),
    (Day.reload, 4),
    (Day.pause, 4),
]
ACTIONS = [action for action, _ in _WEIGHTS]


def _faults(log: str) -> list[str]:
    """What the server logs of faults of its own."""
    expected = ("cannot be encoded", "a reload is under way already")
    return [line for line in log.splitlines() if line.startswith("E:VENTILATOR") and not any(map(line.count, expected))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--hours_a_day", type=int, default=60)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    from tests.server.conftest import write_model

    end = time.monotonic() + 60 * arguments.minutes
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    totals: dict[str, int] = {}
    while True:
        with tempfile.TemporaryDirectory() as folder:
            day = Day(seed, write_model(Path(folder, "model")))
            try:
                day.run(arguments.hours_a_day)
            except BaseException:
                print(f"the day of seed {seed} failed", flush=True)
                raise
        for name, count in (("answers", day.answers), ("refusals", day.refusals), *day.counts.items()):
            totals[name] = totals.get(name, 0) + count
        print(f"seed {seed}: {day.answers} answers, {day.refusals} refusals", flush=True)
        seed += 1
        if time.monotonic() > end or arguments.seed is not None:
            break
    print(", ".join(f"{count} {name}" for name, count in totals.items()))


if __name__ == "__main__":
    main()
