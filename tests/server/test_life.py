"""The road of one server: start, answer, stop."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bert_serving.benchmark.processes import alive

from tests.engines.dummy import DUMMY
from tests.server.support import Connect, StartServer, expected, free_ports, ids_of, token_vectors, wait_until

LEGACY_KEYS = set(
    re.findall(
        r"\w+",
        """client num_process server_current_time device_map num_concurrent_socket ckpt_name config_name cors cpu
        do_lower_case fixed_embed_length fp16 gpu_memory_fraction graph_tmp_dir http_max_connect http_port mask_cls_sep
        max_batch_size max_seq_len model_dir no_position_embeddings no_special_token num_worker pooling_layer
        pooling_strategy port port_out prefetch_size priority_batch_size show_tokens_to_client tuned_model_dir verbose
        xla num_labels tensorflow_version python_version server_version pyzmq_version zmq_version server_start_time""",
    )
)


def is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_start_answer_and_stop(start_server: StartServer, connect: Connect, tmp_path: Path) -> None:
    server = start_server("-num_worker", "2", anew=True)
    assert server.log.count("ready and listening!") == 2
    client = connect(server)
    client.send(["a b c", "d"], 1)
    number, vectors, info = client.vectors()
    assert number == 1
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected(["a b c", "d"]), atol=1e-6)
    assert (info["tokens"], info["task"], info["truncated"]) == ("", "encode", [])
    workers = server.children()
    assert len(workers) == 2
    assert "tensorflow" not in Path(f"/proc/{server.pid}/maps").read_text()
    assert server.end() == 0
    assert "Traceback" not in server.log
    assert not any(map(alive, workers))
    assert is_free(server.port)
    assert is_free(server.port_out)


def test_config_and_status(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-pooling_strategy", "REDUCE_MAX", "-device", "0", "1", "-prefetch_size=3")
    server.wait_for("-prefetch_size has no effect")
    client = connect(server, "ö".encode("latin-1"))
    config = client.ask(b"SHOW_CONFIG")
    assert set(config) >= LEGACY_KEYS
    assert {"ventilator -> worker", "worker -> sink", "ventilator <-> sink"} <= set(config)
    assert config["server_version"] == "1.10.0"
    assert config["bert_ft_version"]
    assert config["pooling_strategy"] == 1
    assert config["max_seq_len"] == 64
    assert config["device_map"] == [0, 1]
    assert config["port"] == server.port
    status = client.ask(b"SHOW_STATUS")["statistic"]
    assert (status["num_data_request"], status["num_sys_request"], status["num_total_client"]) == (0, 2, 1)
    assert "avg_size_per_request" not in status
    for number, size in enumerate((1, 3, 3), 1):
        client.send(["a"] * size, number)
        client.vectors()
    other = connect(server, b"other")
    report = other.ask(b"SHOW_STATUS")
    status = report["statistic"]
    assert (status["num_data_request"], status["num_total_seq"], status["num_active_client"]) == (3, 7, 1)
    assert status["num_total_request"] == 6
    for group in ("request_per_client", "size_per_request", "last_two_interval", "request_per_second"):
        assert {f"{kind}_{group}" for kind in ("avg", "min", "max", "num_min", "num_max")} <= set(status)
    assert (status["min_size_per_request"], status["max_size_per_request"]) == (1, 3)
    assert (status["num_min_size_per_request"], status["num_max_size_per_request"]) == (1, 2)
    assert (status["min_request_per_client"], status["max_request_per_client"]) == (1, 5)
    assert report["workers"][0]["sequences"] == 7
    assert report["queue"]["waiting_requests"] == 0


def test_sigterm_lets_running_requests_finish(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "batch_seconds=0.3", "-max_batch_size", "2")
    client = connect(server)
    texts = ["a", "b", "c", "d", "e", "f"]
    client.send(texts, 5)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 1)
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("shutting down: SIGTERM")
    client.send(["late"], 6)
    assert client.error()[1]["code"] == "shutting_down"
    number, vectors, _ = client.vectors()
    assert number == 5
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)
    assert server.exit_status() == 0


def test_second_signal_stops_at_once_with_an_error_for_waiting_clients(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server("-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=60")
    client = connect(server)
    client.send(["a"], 5)
    wait_until(lambda: client.ask(b"SHOW_STATUS")["queue"]["waiting_requests"] == 1)
    workers = server.children()
    server.process.send_signal(signal.SIGINT)
    server.wait_for("shutting down")
    assert server.end(signal.SIGINT) == 0
    number, error = client.error()
    assert (number, error["code"]) == (5, "shutting_down")
    assert not any(map(alive, workers))


def test_requests_wait_while_the_workers_start(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-engine_option", "load_seconds=1", ready=False)
    client = connect(server)
    assert client.ask(b"SHOW_CONFIG")["ready"] is False
    client.send(["a"], 1)
    assert client.vectors()[0] == 1
    assert client.ask(b"SHOW_CONFIG")["ready"] is True


def test_waiting_requests_get_an_error_when_the_start_fails(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-worker_timeout", "0.2", "-engine_option", "load_seconds=60", ready=False)
    client = connect(server)
    client.ask(b"SHOW_CONFIG")
    client.send(["a"], 1)
    error = client.error(30)[1]
    assert error["code"] == "server_failed"
    assert "not ready within 1.6 s" in error["message"]
    assert server.exit_status() == 1
    assert "worker 0 ended 4 times" in server.lines[-1]
    assert "give a larger -worker_timeout or a smaller -num_worker" in server.lines[-1]


def test_a_slow_start_is_tried_again_with_more_time(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-worker_timeout", "0.5", "-engine_option", "load_seconds=0.8", "-num_worker", "2")
    assert server.log.count("is lost: it was not ready within 0.5 s") >= 2
    client = connect(server)
    client.send(["a"], 1)
    assert client.vectors()[0] == 1


def test_no_orphan_when_the_server_is_killed(start_server: StartServer, connect: Connect) -> None:
    server = start_server("-num_worker", "2", "-engine_option", "sleep_id=4", "-engine_option", "sleep_seconds=60")
    workers = server.children()
    assert len(workers) == 2
    client = connect(server)
    client.send(["a"], 1)  # one worker is busy when it happens
    wait_until(lambda: any(w["state"] == "busy" for w in client.ask(b"SHOW_STATUS")["workers"]))
    server.process.kill()
    wait_until(lambda: not any(map(alive, workers)))
    wait_until(lambda: is_free(server.port) and is_free(server.port_out))


def test_termination_frame(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    client = connect(server)
    client.push.send_multipart([b"0", b"TERMINATION", b"0", b"0"])
    assert server.exit_status() == 0


def terminate(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from bert_serving.server.commands.cli import terminate; terminate(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30, env=environment
    )


def test_terminate_tells_the_truth(start_server: StartServer) -> None:
    server = start_server()
    done = terminate("-port", str(server.port), "-port_out", str(server.port_out))
    assert done.returncode == 0, done.stderr
    assert f"localhost:{server.port} has stopped" in done.stdout
    assert server.exit_status() == 0
    again = terminate("-port", str(server.port), "-timeout", "1000")
    assert again.returncode == 1
    assert again.stderr == f"error: no server at localhost:{server.port}; nothing was stopped\n"


def test_terminate_does_not_claim_a_stranger() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        done = terminate("-port", str(stranger.getsockname()[1]), "-timeout", "500")
    assert done.returncode == 1
    assert "no server answered" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-pooling_layer", "-4"], "-pooling_layer -4 is out of range: the model has 3 layers"),
        (["-pooling_layer", "3"], "-pooling_layer 3 is out of range"),
        (["-max_seq_len", "65"], "-max_seq_len 65 is more than the model's 64 positions"),
        (["-ckpt_name", "other.ckpt"], "other.ckpt.index: no such file"),
        (["-tuned_model_dir", "/nowhere"], "/nowhere: no such directory"),
        (["-engine_option", "fail=no weights in it"], "no weights in it"),
        (["-host", "192.0.2.1"], "192.0.2.1: not an address of this machine"),
    ],
)
def test_faults_at_start_are_one_line(start_server: StartServer, flags: list[str], message: str) -> None:
    server = start_server(*flags, ready=False)
    assert server.exit_status() == 1
    assert message in server.lines[-1]
    assert server.lines[-1].startswith("error: ")
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-num_worfer=3"], "no such option -num_worfer; did you mean -num_worker?"),
        (["-max_seq_len", "3"], "must be above 3"),
        (["-max_seq_len", "many"], "must be a whole number above 3 or NONE"),
        (["-pooling_strategy", "MEAN"], "MEAN"),
        (["-num_worker", "0"], "-num_worker"),
    ],
)
def test_wrong_command_lines_exit_with_2(start_server: StartServer, flags: list[str], message: str) -> None:
    server = start_server(*flags, ready=False)
    assert server.exit_status() == 2
    assert len(server.lines) == 1
    assert message in server.log


def test_missing_directory(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(ready=False, folder=tmp_path / "nothing")
    assert server.exit_status() == 1
    assert "no such directory" in server.lines[-1]


@pytest.mark.parametrize("flag", ["-port", "-port_out"])
def test_busy_port(start_server: StartServer, flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start_server(flag, str(port), ready=False)
        assert server.exit_status() == 1
    assert server.lines[-1].startswith(f"error: port {port} ({flag}) is in use")


def test_one_port_for_both(start_server: StartServer) -> None:
    (port,) = free_ports(1)
    server = start_server("-port", str(port), "-port_out", str(port), ready=False)
    assert server.exit_status() == 1
    assert f"-port and -port_out are both {port}" in server.lines[-1]


def test_worker_that_dies_at_start(start_server: StartServer) -> None:
    server = start_server("-engine_option", "die_at_start=1", ready=False)
    assert server.exit_status(40) == 1
    assert "error: worker 0 ended 4 times before it was ready: killed by SIGKILL" in server.lines[-1]


def test_casing_of_bert_ft_json(start_server: StartServer, connect: Connect, model_dir: Path, tmp_path: Path) -> None:
    for path in model_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    metadata: dict[str, object] = {
        "task": "t",
        "head": None,
        "labels": [],
        "max_seq_length": 64,
        "do_lower_case": False,
    }
    (tmp_path / "bert_ft.json").write_text(json.dumps({**metadata, "format_version": 1}))
    server = start_server(folder=tmp_path)
    server.wait_for("keep case and accents: bert_ft.json says so")
    client = connect(server)
    client.send(["A a"], 1)
    np.testing.assert_allclose(client.vectors()[1][0], token_vectors([2, 1, *ids_of("a")[1:]]).mean(0), atol=1e-6)
    assert client.ask(b"SHOW_CONFIG")["do_lower_case"] is False


def test_server_process_never_loads_tensorflow(model_dir: Path) -> None:
    code = (
        "import sys; import bert_serving.server.server, bert_serving.server.commands.cli, bert_serving.server.helper; "
        "print([name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'keras')])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_standard_output_on_a_full_disk(model_dir: Path) -> None:
    code = "import sys; from bert_serving.server.commands.cli import start; start(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "-model_dir", str(model_dir), "-engine", DUMMY],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, env=environment,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device; redirect it\n"


def test_more_clients_than_the_usual_limit_of_descriptors(start_server: StartServer, model_dir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(128, soft), hard))
    try:
        server = start_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(line.split()[3]) == min(hard, 65536)
