"""What commands do before their imports: closed streams, Ctrl-C, and locales that are not UTF-8. All start anew."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.engines.dummy import DUMMY
from tests.server.conftest import model_dir  # noqa: F401  # a fixture
from tests.server.support import free_ports

COMMANDS = {
    "bert-ft": "from bert_ft.commands.entry import main as run",
    "bert-ft-train": "from bert_ft.commands.entry import train as run",
    "bert-serving-start": "from bert_serving_scripts import start as run",
    "bert-serving-benchmark": "from bert_serving_scripts import benchmark as run",
    "bert-serving-keygen": "from bert_serving_scripts import keygen as run",
    "bert_ft.run_classifier": "run = lambda: runpy.run_module('bert_ft.run_classifier', run_name='__main__')",
    "bert_ft.run_ner": "run = lambda: runpy.run_module('bert_ft.run_ner', run_name='__main__')",
}
READY = b"all set, ready to serve request!"
ODD_LOCALE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
CHINESE = "模型"
ROOT = Path(__file__).parents[2]
"""Of the dummy engine's module."""


def program(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import os, runpy, sys\n{COMMANDS[name]}\nrun()", *arguments]


def without(closed: str, command: list[str], **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command with standard descriptors closed, such as ``0<&- 2>&-``."""
    return subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, timeout=100, **how)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_a_command_does_its_work_without_standard_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    done = without(closed, program("bert-ft", "new-checkpoint", "model", "--vocab_file=vocab.txt"), cwd=tmp_path)
    assert done.returncode == 0
    assert b"random weights" in done.stdout or "1>&-" in closed
    assert (tmp_path / "model" / "bert_model.ckpt.index").exists()
    done = without(closed, program("bert-ft", "inspect", "model"), cwd=tmp_path)
    assert done.returncode == 0
    assert b"bert/embeddings/word_embeddings" in done.stdout or "1>&-" in closed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_socket_of_a_server_takes_the_place_of_a_standard_stream(model_dir: Path) -> None:  # noqa: F811
    port, port_out = map(str, free_ports())
    flags = ["-model_dir", str(model_dir), "-engine", DUMMY, "-port", port, "-port_out", port_out]
    command = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *program("bert-serving-start", *flags)]
    with subprocess.Popen(command) as process:
        stop = program("bert-serving-start", "-h")[:2]
        code = f"import bert_serving.client as c; c.BertClient(port={port}, port_out={port_out}, timeout=-1).close()"
        try:
            assert subprocess.run([*stop, code], timeout=60).returncode == 0
            descriptors = Path(f"/proc/{process.pid}/fd")
            assert [os.readlink(descriptors / str(number)) for number in range(3)] == [os.devnull] * 3
        finally:
            process.terminate()
        assert process.wait(30) == 0


INTERRUPT_AT_AN_IMPORT = """
import _signal, atexit
left = {imports}
atexit.register(lambda: print(left))
def hook(event, arguments):
    global left
    if event == "import" and _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), _signal.SIGINT)
sys.addaudithook(hook)
run()
"""


def interrupted(folder: Path, name: str, imports: int) -> subprocess.CompletedProcess[bytes]:
    """A command that gets Ctrl-C at one of its imports; it prints how many were left."""
    command = program(name, "-model_dir", "m")
    if name != "bert-serving-benchmark":
        command[3:] = ["--task_name=emotion", "--output_dir=out"]
    command[2] = command[2].replace("\nrun()", INTERRUPT_AT_AN_IMPORT.format(imports=imports))
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60)


@cache
def imports_of(name: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return -int(interrupted(Path(folder), name, 0).stdout.split()[-1])


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", ["bert-ft-train", "bert-serving-benchmark", "bert_ft.run_classifier"])
def test_ctrl_c_during_the_imports_is_one_line(tmp_path: Path, name: str, share: float) -> None:
    """Counted in imports, for a quick machine may be through with them after any time; libraries differ in theirs."""
    assert imports_of(name) > 50
    done = interrupted(tmp_path, name, 1 + int(share * imports_of(name)))
    assert done.stderr.endswith(b"error: interrupted\n")
    assert b"Traceback" not in done.stderr
    assert done.returncode == 130


def after_begin(code: str, **how: Any) -> subprocess.CompletedProcess[str]:
    text = f"import atexit, os, signal, sys\nfrom bert_ft.startup import begin, interruptible\n{code}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, **how)


INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)\nfor _ in range(9): pass\n"


def test_an_import_that_swallows_interrupts_does_not_swallow_this_one() -> None:
    done = after_begin(f"begin()\ntry:\n    exec({INTERRUPT!r})\nexcept BaseException:\n    pass\nprint('on')")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_what_is_to_be_put_in_order_is() -> None:
    code = f"begin()\ntry:\n    with interruptible():\n        exec({INTERRUPT!r})\nexcept KeyboardInterrupt:\n    "
    done = after_begin(code + "print('in order')\n    sys.exit(7)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in order\n", "")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_command_that_has_nothing_to_put_in_order_ends_at_once(at_once: bool) -> None:
    """Whatever swallows the KeyboardInterrupt on its way."""
    body = (
        f"def body():\n    try:\n        exec({INTERRUPT!r})\n    except BaseException:\n        print('swallowed')\n"
    )
    make = "from bert_ft.flags.legacy import LegacyCommand\ncommand = LegacyCommand('x', callback=body)\n"
    done = after_begin(f"begin()\n{body}{make}command.ends_at_once = {at_once}\ncommand([])")
    expected = (130, "", "error: interrupted\n") if at_once else (0, "swallowed\n", "")
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_a_server_that_starts_is_such_a_command() -> None:
    from bert_serving.server.commands.cli import start

    assert start.ends_at_once


def test_an_interrupt_after_the_end_changes_nothing() -> None:
    done = after_begin("atexit.register(os.kill, os.getpid(), signal.SIGINT)\nbegin()\nprint('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_where_interrupts_are_ignored_they_still_are() -> None:
    """As in the background of a script."""
    code = f"begin()\n{INTERRUPT}print('on')"
    done = after_begin(code, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("gbk", "开".encode("gbk") + rb" \U0001f600 "),
        ("latin-1", rb"\u5f00 \U0001f600 "),
        ("ascii", "开 😀 ".encode()),
        (None, "开 😀 ".encode()),
    ],
)
def test_every_text_can_be_printed(encoding: str | None, written: bytes) -> None:
    """The name is one that this locale cannot read, so it is bytes, and goes out as them."""
    environment = {**os.environ, **ODD_LOCALE} | ({"PYTHONIOENCODING": encoding} if encoding else {})
    for stream in ("stdout", "stderr"):
        code = "import sys; from bert_ft.startup import begin; begin(); "
        code += f"print('\\u5f00', '\\U0001f600', sys.argv[1], '\\ud800', file=sys.{stream})"
        done = subprocess.run([sys.executable, "-c", code, CHINESE], capture_output=True, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        assert getattr(done, stream) == written + CHINESE.encode() + rb" \ud800" + b"\n"


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii", None])
def test_a_server_of_a_folder_whose_name_the_locale_cannot_read(
    tmp_path: Path,
    model_dir: Path,  # noqa: F811
    encoding: str | None,
) -> None:
    shutil.copytree(model_dir, tmp_path / CHINESE)
    environment = {**os.environ, **ODD_LOCALE, "PYTHONPATH": str(ROOT)}
    environment |= {"PYTHONIOENCODING": encoding} if encoding else {}
    port, port_out = map(str, free_ports())
    flags = ["-model_dir", CHINESE, "-engine", DUMMY, "-port", port, "-port_out", port_out]
    command = program("bert-serving-start", *flags)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        log = b""
        while line := process.stderr.readline():
            log += line
            if READY in line:
                process.terminate()
        output, _ = process.communicate(timeout=60)
    assert READY in log
    assert process.returncode == 0, log
    assert f"model_dir = {CHINESE}\n".encode() in output
    assert b"Traceback" not in log


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii", None])
def test_a_fault_names_the_file(tmp_path: Path, encoding: str | None) -> None:
    environment = {**os.environ, **ODD_LOCALE} | ({"PYTHONIOENCODING": encoding} if encoding else {})
    command = program("bert-serving-start", "-model_dir", CHINESE)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"error: {CHINESE}: no such directory")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii", None])
def test_a_checkpoint_whose_name_the_locale_cannot_read(tmp_path: Path, encoding: str | None) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    environment = {**os.environ, **ODD_LOCALE} | ({"PYTHONIOENCODING": encoding} if encoding else {})
    for arguments in (["new-checkpoint", CHINESE, "--vocab_file=vocab.txt"], ["inspect", CHINESE]):
        command = program("bert-ft", *arguments)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=100)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / CHINESE / "bert_model.ckpt.index").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vocab.txt", CHINESE]
