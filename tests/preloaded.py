"""Programs of this project without the seconds of their imports: forked from a process that has made them.

``popen(["-m", "bert_ft.commands.main", "inspect"], LIGHT)`` is ``subprocess.Popen([sys.executable, "-m", …])`` in
everything but the time it takes. Where a process cannot be made somebody else's child (not Linux), it is just that.
What a test says of imports, of the interpreter's own flags, or of starting itself must not run through here.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
LIGHT = ("bert_serving.server.commands.cli", "bert_serving.server.server", "bert_serving.server.workers.worker",
         "tests.engines.dummy")  # fmt: skip
HEAVY = ("bert_ft.commands.main", "bert_ft.run_classifier", "bert_ft.run_ner", "bert_ft.inference.predict",
         "bert_ft.tasks.classification.run", "bert_ft.tasks.tagging.run")  # fmt: skip
"""With TensorFlow."""
_SUBREAPER = 36
_REQUEST_BYTES = 1 << 16
_OF_THE_START = ("PYTHON", "LC_", "LANG", "TF_", "ONEDNN", "DNNL", "OMP", "OPENBLAS", "LD_", "MALLOC")
"""Variables that count when a process starts: where they differ, a real start is made."""
_HARMLESS = {"PYTHONPATH", "PYTHONSAFEPATH"}


def popen(program: Sequence[str], modules: tuple[str, ...] | None, **how: Any) -> subprocess.Popen:
    """A Python program as its arguments to the interpreter.

    Args:
        program: ``["-m", module, …]`` or ``["-c", code, …]``.
        modules: imported beforehand, by a process that all programs of the same ``modules`` share; None: start anew.
        how: of ``subprocess.Popen``.
    """
    if modules is None or not sys.platform.startswith("linux") or _start_matters(how.get("env")):
        return subprocess.Popen([sys.executable, *program], **how)
    return _Forked(program, _Server.of(modules), **how)


def run(program: Sequence[str], modules: tuple[str, ...], timeout: float, **how: Any) -> subprocess.CompletedProcess:
    """As ``subprocess.run`` with captured output."""
    with popen(program, modules, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _start_matters(environment: dict[str, str] | None) -> bool:
    if environment is None:
        return False
    names = {name for name in {*environment, *os.environ} if environment.get(name) != os.environ.get(name)}
    return any(name.startswith(_OF_THE_START) for name in names - _HARMLESS)


class _Forked(subprocess.Popen):
    """All of Popen but the start itself."""

    def __init__(self, program: Sequence[str], server: _Server, **how: Any) -> None:
        self._program, self._server = list(program), server
        super().__init__([sys.executable, *program], **how)

    def _execute_child(self, *arguments: Any) -> None:
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *arguments).arguments
        pipes = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        try:
            self.pid = self._server.fork(
                {"program": self._program, "cwd": os.path.abspath(given["cwd"] or "."),
                 "env": dict(given["env"] or os.environ), "session": given["start_new_session"]},
                [end if pipe == -1 else pipe for end, pipe in enumerate(pipes)],
            )  # fmt: skip
            self._child_created = True
        finally:
            self._close_pipe_fds(*(given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread",
                                                             "errwrite")))  # fmt: skip


class _Server:
    """The process that has imported the modules, and forks."""

    _servers: dict[tuple[str, ...], _Server] = {}  # noqa: RUF012
    _lock = threading.Lock()

    @classmethod
    def of(cls, modules: tuple[str, ...]) -> _Server:
        with cls._lock:
            if modules not in cls._servers:
                cls._servers[modules] = cls(modules)
            return cls._servers[modules]

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.preloaded", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )

    def fork(self, request: dict[str, Any], ends: list[int]) -> int:
        """The process id of a child of this process, with three descriptors as its standard ones."""
        with self._lock, _adopting():
            socket.send_fds(self._socket, [json.dumps(request).encode()], ends)
            answer = self._socket.recv(_REQUEST_BYTES)
        if not answer:
            raise RuntimeError("the process that had imported the modules is gone")
        return int(answer)


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Orphans below this process become its children meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        message, ends, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 3)
        if not message:
            return
        read, write = os.pipe()
        if not (between := os.fork()):
            # its child is an orphan at once, and the test's
            if child := os.fork():
                os.write(write, str(child).encode())
                os._exit(0)
            control.close()
            os.close(read)
            os.close(write)
            _become(json.loads(message), ends)
        os.close(write)
        os.waitpid(between, 0)
        control.send(os.read(read, 32))
        os.close(read)
        for end in ends:
            os.close(end)


def _become(request: dict[str, Any], ends: list[int]) -> NoReturn:
    """The program, to its end."""
    if request["session"]:
        os.setsid()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    ends = [os.dup(end) for end in ends]
    for number, end in enumerate(ends):
        os.dup2(end, number)
    os.closerange(3, 256)
    sys.stdin, sys.stdout = open(0), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    kind, what, *rest = request["program"]
    sys.argv = ["-c" if kind == "-c" else what, *rest]
    _end(_status(kind, what))


def _status(kind: str, what: str) -> int:
    try:
        if kind == "-m":
            sys.modules.pop(what, None)  # for runpy, which warns of one that is there
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            _fork_dummy_workers()
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class _Worker(subprocess.Popen):
    """A worker of a server, forked from it: the server has imported what a worker with the dummy engine needs."""

    def _execute_child(self, *arguments: Any) -> None:
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *arguments).arguments
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            self._close_pipe_fds(*(given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread",
                                                             "errwrite")))  # fmt: skip
            return
        kept = sorted(given["pass_fds"])
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for before, after in zip([2, *kept], [*kept, 4096], strict=True):
            os.closerange(before + 1, after)
        os.environ.clear()
        os.environ.update(given["env"])
        sys.argv = [*given["args"][2:]]
        try:
            from bert_serving.server.workers import worker

            worker.main()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)


def _fork_dummy_workers() -> None:
    """Only where the modules that they need are there, and no other engine is asked for."""
    processes = sys.modules.get("bert_serving.server.workers.process")
    at = sys.argv.index("-engine") if "-engine" in sys.argv else None
    if processes is not None and at is not None and sys.argv[at + 1].startswith("tests.engines.dummy:"):
        processes.subprocess = SimpleNamespace(Popen=_Worker, DEVNULL=subprocess.DEVNULL)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
