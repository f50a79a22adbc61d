"""A model that is replaced under a running server: never two at once unasked, and none lost when asked."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bert_serving.benchmark.processes import children
from bert_serving.server.limits import Limits

from bert_ft.checkpoint.fingerprint import HeldFiles, ModelPlace, fingerprint, linked
from bert_ft.files.replace import replaced_directory
from tests.engines.dummy import DUMMY
from tests.server.support import Connect, RunningServer, StartServer, expected, free_ports, wait_until
from tests.server.test_http import call

HEEDS_SIGHUP = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
"""Even if the tests run under nohup."""


@pytest.fixture
def folder(model_dir: Path, tmp_path: Path) -> Path:
    """A model directory of its own, of the model 0."""
    return shutil.copytree(model_dir, tmp_path / "model")


def write_over(folder: Path, model: int) -> None:
    """As ``cp`` does: the files stay, their content does not."""
    with (folder / "bert_model.ckpt.index").open("r+") as index:
        index.truncate()
        index.write(str(model))


def replace(folder: Path, model: int) -> None:
    """As a training does: the directory becomes another."""
    with replaced_directory(folder, "bert_ft.json") as staging:
        for path in folder.iterdir():
            shutil.copy(path, staging)
        (staging / "bert_model.ckpt.index").write_text(str(model))


def kill_a_worker(server: RunningServer) -> None:
    killed = server.children()[0]
    os.kill(killed, signal.SIGKILL)
    server.wait_for("is lost: killed by SIGKILL")
    wait_until(lambda: killed not in children(server.pid))


def reload(server: RunningServer, *more: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from bert_serving.server.commands.cli import reload; reload(sys.argv[1:])"
    ports = ["-port", str(server.port), "-port_out", str(server.port_out)]
    return subprocess.run([sys.executable, "-c", code, *ports, *more], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("change", "workers"), [(replace, 2), (write_over, 1)])
def test_a_new_worker_never_serves_another_model(
    start_server: StartServer, connect: Connect, folder: Path, change: Callable[[Path, int], None], workers: int
) -> None:
    """What a training has put in the place of the model leaves it readable; what was written over it does not."""
    server = start_server("-num_worker", "2", folder=folder)
    client = connect(server)
    before = client.ask(b"SHOW_CONFIG")["model_fingerprint"]
    change(folder, 5)
    kill_a_worker(server)
    if workers == 1:
        server.wait_for("its files were written over with another model's, so worker 0 is not started with them")
    wait_until(lambda: [w["state"] for w in client.ask(b"SHOW_STATUS")["workers"]].count("idle") == workers)
    for number in range(40):
        client.send(["a b c"], number)
    for _ in range(40):
        _, vectors, header = client.vectors()
        np.testing.assert_allclose(vectors, expected(["a b c"]), atol=1e-6)
        assert header["model"] == before
    if workers == 1:  # until it is put back
        write_over(folder, 5)
        with (folder / "bert_model.ckpt.index").open("r+") as index:
            index.truncate()
        wait_until(lambda: all(w["state"] == "idle" for w in client.ask(b"SHOW_STATUS")["workers"]), 30)
    assert server.end() == 0


def test_without_a_worker_that_holds_the_model_the_server_ends(
    start_server: StartServer, connect: Connect, folder: Path
) -> None:
    server = start_server("-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=60", folder=folder)
    client = connect(server)
    client.send(["a"], 1)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["workers"][0]["state"] == "busy")
    write_over(folder, 5)
    os.kill(server.children()[0], signal.SIGKILL)
    number, error = client.error()
    assert (number, error["code"]) == (1, "server_failed")
    assert server.exit_status() == 1
    assert server.lines[-1].startswith(f"error: {folder}: its files were written over with another model's")


def test_reload_loses_and_mixes_nothing(start_server: StartServer, connect: Connect, folder: Path) -> None:
    """Every answer is that of the model its header names, whole requests at a time."""
    server = start_server("-num_worker", "2", "-max_batch_size", "4", folder=folder)
    over = threading.Event()
    seen: list[set[str]] = []
    models: dict[str, int] = {}
    texts = ["a b", "c", "d e f", "g h", "i j k l", "m", "n o"]

    def ask(seed: int) -> None:
        client, mine, number = connect(server, b"asker-%d" % seed), set(), 0
        while not over.is_set():
            number += 1
            client.send(texts, number)
            back, vectors, header = client.vectors()
            assert back == number
            np.testing.assert_allclose(vectors, expected(texts) + models[header["model"]], atol=1e-5)
            mine.add(header["model"])
        seen.append(mine)

    models[fingerprint(ModelPlace(str(folder)))] = 0
    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for model in (1, 2, 3):
        (replace if model % 2 else write_over)(folder, model)
        models[fingerprint(ModelPlace(str(folder)))] = model
        done = reload(server)
        assert done.returncode == 0, done.stderr
        assert "now, not" in done.stdout
    over.set()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 3
    assert len(set.union(*seen)) >= 3
    client = connect(server)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["models"] == 1)
    assert client.ask(b"SHOW_STATUS")["model_fingerprint"] == fingerprint(ModelPlace(str(folder)))
    wait_until(lambda: len(server.children()) == 2)
    assert "serves model" in reload(server).stdout
    assert server.end() == 0


def test_a_request_keeps_its_model(start_server: StartServer, connect: Connect, folder: Path) -> None:
    server = start_server("-max_batch_size", "2", "-engine_option", "batch_seconds=0.2", folder=folder)
    client = connect(server)
    texts = ["a b"] * 30
    client.send(texts, 1)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["waiting_sequences"] > 0)
    replace(folder, 7)
    assert reload(server).returncode == 0
    client.send(["a b"], 2)
    answers = {}
    for _ in range(2):
        number, vectors, _ = client.vectors()
        answers[number] = vectors
    np.testing.assert_allclose(answers[1], expected(texts), atol=1e-6)
    np.testing.assert_allclose(answers[2], expected(["a b"]) + 7, atol=1e-5)


def test_another_size_and_another_vocabulary(start_server: StartServer, connect: Connect, folder: Path) -> None:
    (port,) = free_ports(1)
    server = start_server("-http_port", str(port), folder=folder, prologue=HEEDS_SIGHUP)
    client = connect(server)
    config = json.loads((folder / "bert_config.json").read_text())
    words = (folder / "vocab.txt").read_text().split()
    (folder / "bert_config.json").write_text(json.dumps(config | {"hidden_size": 16, "vocab_size": len(words) + 1}))
    (folder / "vocab.txt").write_text("\n".join([*words, "zz"]) + "\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("is served now, not")
    client.send(["zz"], 1)
    vectors = client.vectors()[1]
    ids = [2, len(words), 3]
    angles = np.outer(ids, np.arange(1, 17)) + np.arange(3)[:, None]
    np.testing.assert_allclose(vectors[0], np.sin(angles).mean(axis=0), atol=1e-6)
    _, answer, _ = call(port, "/encode", {"id": 1, "texts": ["zz"]})
    np.testing.assert_allclose(answer["result"], vectors, atol=1e-6)
    assert answer["model"] == client.ask(b"SHOW_CONFIG")["model_fingerprint"]
    assert client.ask(b"SHOW_CONFIG")["dim"] == 16


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt: no such file"),
        (lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"), "no line [UNK] or [CLS] or [SEP]"),
        (lambda folder: (folder / "bert_config.json").write_text("{"), "bert_config.json"),
    ],
)
def test_a_model_that_cannot_be_served_leaves_the_old_one(
    start_server: StartServer, connect: Connect, folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    server = start_server(folder=folder)
    client = connect(server)
    damage(folder)
    done = reload(server)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "goes on" in done.stderr
    client.send(["a"], 1)
    np.testing.assert_allclose(client.vectors()[1], expected(["a"]), atol=1e-6)


def test_workers_that_do_not_start_leave_the_old_one(start_server: StartServer, connect: Connect, folder: Path) -> None:
    """The new model's engine fails; the reason is the command's one line."""
    server = start_server("-engine_option", "fail_on_model=9", folder=folder)
    write_over(folder, 9)
    done = reload(server)
    assert done.returncode == 1
    assert "model 9 is broken" in done.stderr
    client = connect(server)
    client.send(["a"], 1)
    np.testing.assert_allclose(client.vectors()[1], expected(["a"]), atol=1e-6)
    assert client.ask(b"SHOW_STATUS")["queue"]["models"] == 1


def test_a_model_that_is_replaced_while_its_workers_start(
    start_server: StartServer, connect: Connect, folder: Path
) -> None:
    server = start_server("-engine_option", "load_seconds=1", folder=folder, ready=False)
    wait_until(lambda: bool(server.children()))
    replace(folder, 4)
    server.wait_for("all set, ready to serve request!")
    assert "another model took the place of the one served; starting another" in server.log
    client = connect(server)
    client.send(["a"], 1)
    np.testing.assert_allclose(client.vectors()[1], expected(["a"]), atol=1e-6)


def test_a_reload_goes_on_when_who_asked_for_it_is_gone(
    start_server: StartServer, connect: Connect, folder: Path
) -> None:
    impatient = Limits(zmq_gone_seconds=0.2)
    server = start_server("-engine_option", "load_seconds=3", folder=folder, limits=impatient)
    write_over(folder, 3)
    asking = connect(server, b"asking")
    asking.ask(b"SHOW_CONFIG")
    asking.send(b"RELOAD", 1)
    server.wait_for("reload: RELOAD from")
    asking.close()
    server.wait_for("1 requests are given up: their clients are gone")
    client = connect(server)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["models"] == 1)
    client.send(["a"], 1)
    np.testing.assert_allclose(client.vectors()[1], expected(["a"]) + 3, atol=1e-5)
    wait_until(lambda: len(server.children()) == 1)


def test_a_terminal_that_is_closed_is_no_reload(folder: Path) -> None:
    """The server is the terminal's: SIGHUP from elsewhere reloads, that of the terminal's end stops it."""
    port, port_out = free_ports()
    ours, theirs = pty.openpty()
    code = f"{HEEDS_SIGHUP}; import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    code += "from bert_serving.server.commands.cli import start; start(sys.argv[1:])"
    flags = ["-model_dir", str(folder), "-engine", DUMMY, "-port", str(port), "-port_out", str(port_out)]
    server = subprocess.Popen(
        [sys.executable, "-c", code, *flags], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    )  # fmt: skip
    os.close(theirs)
    assert server.stderr
    try:
        lines = iter(server.stderr.readline, "")
        assert any("all set" in line for line in lines)
        write_over(folder, 3)
        server.send_signal(signal.SIGHUP)
        assert any("is served now, not" in line for line in lines)
        os.close(ours)
        assert any("shutting down: the terminal was closed" in line for line in lines)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.stderr.close()


def test_reload_without_a_server() -> None:
    (port,) = free_ports(1)
    code = "import sys; from bert_serving.server.commands.cli import reload; reload(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, "-port", str(port)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, f"error: no server at localhost:{port}; nothing was reloaded\n")


@pytest.mark.parametrize("name", ["vocab.txt", "bert_config.json", "bert_model.ckpt.index", "bert_ft.json"])
def test_the_fingerprint_depends_on_every_file_that_counts(folder: Path, name: str) -> None:
    place = ModelPlace(str(folder))
    before = fingerprint(place)
    (folder / "notes.txt").write_text("about the model")
    assert fingerprint(place) == before
    with (folder / name).open("a") as file:
        file.write(" ")
    assert fingerprint(place) != before


def test_held_files_outlive_a_replacement(folder: Path) -> None:
    place = ModelPlace(str(folder))
    held = HeldFiles(place)
    assert held.where() == "place"
    replace(folder, 3)
    assert held.where() == "held"
    with linked(held.descriptors, place) as linked_place:
        assert fingerprint(linked_place) == held.fingerprint != fingerprint(place)
        assert Path(linked_place.model_dir, "vocab.txt").read_text().startswith("[PAD]")
    shutil.rmtree(folder)
    assert held.where() == "held"
    held.close()
