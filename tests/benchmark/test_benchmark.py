"""bert-serving-benchmark from end to end, with the dummy engine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bert_serving.benchmark.command import benchmark
from bert_serving.benchmark.processes import alive, children
from click.testing import CliRunner, Result

from tests.engines.dummy import DUMMY
from tests.server.support import POSITIONS, wait_until

FEW = ("-no_roof", "-seconds", "0.1", "-num_text", "30")
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The servers and clients are programs of their own: they find the modules as this one does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path or os.getcwd() for path in sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(model_dir: Path, *flags: str) -> Result:
    return CliRunner().invoke(benchmark, ["-model_dir", str(model_dir), "-engine", DUMMY, *flags])


def refused(result: Result, status: int = 1) -> str:
    """The one line of a refusal."""
    assert result.exit_code == status, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.output
    assert "Traceback" not in result.output
    return lines[0]


def repeats(report: dict[str, Any], axis: str) -> dict[str, list[dict[str, Any]]]:
    points = next(one["points"] for one in report["axes"] if one["axis"] == axis)
    return {point["label"]: point["repeats"] for point in points}


def test_a_sweep_gives_table_json_and_plot(model_dir: Path, workplace: Path) -> None:
    result = run(
        model_dir, *FEW, "-test_client_batch_size", "1", "7", "-test_num_client", "3", "-test_max_seq_len", "9",
        "-num_repeat", "2", "-mean_length", "6", "-length_sigma", "0", "-json", "figures.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads((workplace / "figures.json").read_text())
    by_batch, by_clients, by_length = (repeats(report, a) for a in ("client_batch_size", "num_client", "max_seq_len"))
    assert [list(one) for one in (by_batch, by_clients, by_length)] == [["1", "7"], ["3"], ["9"]]
    for samples, batch, pieces in (
        (by_batch["1"], 1, 6), (by_batch["7"], 7, 6), (by_clients["3"], 1, 6), (by_length["9"], 256, 9),
    ):  # fmt: skip
        assert len(samples) == 2
        for sample in samples:
            assert sample["requests"] >= 1
            assert sample["texts"] == batch * sample["requests"]
            assert sample["tokens"] == pieces * sample["texts"]
            assert sample["texts"] == pytest.approx(sample["texts_per_second"] * sample["seconds"])
            assert sample["tokens"] == pytest.approx(sample["tokens_per_second"] * sample["seconds"])
            assert 0 < sample["latency_p50_ms"] <= sample["latency_p90_ms"] <= sample["latency_p99_ms"]
            assert sample["latency_p99_ms"] <= 1000 * sample["seconds"]
            assert sample["errors"] == 0
            assert sample["memory_mb"] is None or sample["memory_mb"] > 1
            assert sample["roof_share"] is None
    assert all(sample["requests"] >= 3 for sample in by_clients["3"])
    assert report["workload"]["pieces"] == {"min": 6, "mean": 6.0, "p50": 6.0, "p90": 6.0, "max": 6}
    assert len(report["ready_seconds"]) == 4  # two kinds of server, twice
    assert {"date", "machine", "versions", "flags", "server_config", "roof"} <= set(report)
    for axis in ("client_batch_size", "num_client", "max_seq_len"):
        table = result.output.split(f"## {axis}\n")[1].split("\n\n")[1].splitlines()
        assert len({len(line) for line in table}) == 1, "the columns are not aligned"
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
        assert [row[0] for row in cells[2:]] == list(repeats(report, axis))
        for row in cells[2:]:
            summary = next(p for a in report["axes"] if a["axis"] == axis for p in a["points"] if p["label"] == row[0])
            figures = dict(zip(cells[0], row, strict=True))
            low, high = map(float, figures["min-max"].split("-"))
            assert low <= float(figures["texts/s"]) <= high
            assert float(figures["texts/s"]) == pytest.approx(
                summary["summary"]["texts_per_second"]["median"], abs=0.06
            )
    if HAS_MATPLOTLIB:
        assert (workplace / "benchmark.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_mixed_load_and_texts_of_a_file(model_dir: Path, workplace: Path) -> None:
    (workplace / "texts.txt").write_text("a b c\r\n\n \nd\ne f g h i j\n", encoding="utf-8")
    result = run(
        model_dir, *FEW, "-test_mixed", "-texts", "texts.txt", "-bulk_texts", "50", "-mixed_clients", "3",
        "-num_repeat", "1", "-json", "figures.json", "-engine_option", "batch_seconds=0.01", "-max_batch_size", "5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads((workplace / "figures.json").read_text())
    assert report["workload"]["texts"] == 3
    assert (report["workload"]["pieces"]["min"], report["workload"]["pieces"]["max"]) == (3, 8)
    figures = {label: samples[0] for label, samples in repeats(report, "mixed").items()}
    assert [figures[label]["texts"] for label in ("bulk alone", "bulk beside one")] == [50, 50]
    # 50 texts of three in turn: 5, 3 and 8 pieces in some order
    assert figures["bulk alone"]["tokens"] in {16 * 16 + two for two in (5 + 3, 3 + 8, 8 + 5)}
    assert figures["bulk alone"]["tokens"] == figures["bulk beside one"]["tokens"]
    for label in ("one alone", "one beside bulk"):
        assert figures[label]["tokens"] == 3 * figures[label]["texts"] == 3 * figures[label]["requests"] > 0
    assert figures["many"]["requests"] >= 3
    ratio = figures["one beside bulk"]["latency_p99_ms"] / figures["one alone"]["latency_p99_ms"]
    assert report["mixed"]["p99 beside bulk / p99 alone"]["median"] == pytest.approx(ratio)
    assert re.search(r"^- p99 beside bulk / p99 alone: ", result.output, re.MULTILINE)


def test_an_error_under_load_ends_the_run(model_dir: Path, workplace: Path) -> None:
    result = run(model_dir, *FEW, "-test_num_client", "2", "-engine_option", "error_id=9", "-num_repeat", "1")
    assert re.search(r"measurement failed: client \d of \d: EngineFailedError: ", refused(result))
    assert list(workplace.iterdir()) == []


def test_a_server_that_does_not_start_says_why(model_dir: Path) -> None:
    assert "the server did not start" in (
        line := refused(run(model_dir, *FEW, "-test_num_client", "1", "-engine_option", "fail=no weights here"))
    )
    assert "no weights here" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server(model_dir: Path, workplace: Path, number: int) -> None:
    code = "from bert_serving.benchmark.command import benchmark; benchmark()"
    flags = ["-model_dir", str(model_dir), "-engine", DUMMY, "-test_num_client", "2", *FEW, "-seconds", "100"]
    process = subprocess.Popen([sys.executable, "-c", code, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        # the server, the clients' program and the two clients below it
        wait_until(lambda: any(len(children(child)) == 2 for child in children(process.pid)[1:]), 60)
        below = children(process.pid)
        below += [grandchild for child in below for grandchild in children(child)]
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert b"error: interrupted" in output
    assert b"Traceback" not in output
    assert len(below) >= 5
    wait_until(lambda: not any(map(alive, below)))
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words", "status"),
    [
        (["-texts", "absent.txt"], "absent.txt: cannot be read", 1),
        (["-texts", "latin.txt"], "latin.txt:2: not UTF-8", 1),
        (["-texts", "blank.txt"], "blank.txt: no text in it", 1),
        (["-texts", "a.txt", "-client_vocab_file", "a.txt"], "give one of the two", 1),
        (["-client_vocab_file", "latin.txt"], "latin.txt:2: not UTF-8", 1),
        (["-client_vocab_file", "figures.txt"], "no word of it is known", 1),
        (["-test_max_seq_len", str(POSITIONS + 1)], f"the model's {POSITIONS} positions", 1),
        (["-test_pooling_layer", "-9"], "-pooling_layer -9 is out of range", 1),
        (["-test_pooling_layer", "-1", "-pooling_strategy", "CLS_POOLED"], "reads the top layer alone", 1),
        (["-json", "nowhere/b.json"], "nowhere/b.json: cannot be written", 1),
        (["-test_num_clients", "2"], "did you mean -test_num_client?", 2),
        (["-test_num_client", "0"], "-test_num_client", 2),
        (["-num_worfer", "2"], "did you mean -num_worker?", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    model_dir: Path, workplace: Path, flags: list[str], words: str, status: int
) -> None:
    (workplace / "latin.txt").write_bytes(b"good\nna\xefve\n")
    (workplace / "blank.txt").write_bytes(b"\n  \n")
    (workplace / "a.txt").write_bytes(b"a\n")
    (workplace / "figures.txt").write_bytes(b"1 2 3\n")
    before = set(workplace.iterdir())
    assert words in refused(run(model_dir, *flags), status)
    assert set(workplace.iterdir()) == before


def test_without_matplotlib(model_dir: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "bert_serving.benchmark.plot.find_spec",
        lambda name: None if name.startswith("matplotlib") else found(name),
    )
    assert "pip install 'bert-ft[benchmark]'" in refused(run(model_dir, *FEW, "-plot", "picture.png"))
    result = run(model_dir, *FEW, "-test_num_client", "1", "-num_repeat", "1", "-client_batch_size", "2")
    assert result.exit_code == 0, result.output
    assert "no plot: matplotlib is not installed; pip install 'bert-ft[benchmark]'" in result.output
    assert [path.name for path in workplace.iterdir()] == ["benchmark.json"]


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="needs matplotlib")
def test_a_picture_of_an_unknown_kind_is_refused(model_dir: Path) -> None:
    assert "-plot picture.doc: give a name that ends in one of" in refused(run(model_dir, "-plot", "picture.doc"))
