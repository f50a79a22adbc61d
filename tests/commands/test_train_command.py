"""The training commands as a user types them, on the project's own data."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bert_ft import run_classifier
from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.model.heads import ClassificationHead
from tests.preloaded import HEAVY, popen
from tests.preloaded import run as run_preloaded

DATA = Path(__file__).parents[2] / "data"


def run(folder: Path, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return run_preloaded(["-m", *command], HEAVY, timeout, cwd=folder, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user stands: data/ and the checkpoint folder in the current directory."""
    path = tmp_path_factory.mktemp("user")
    shutil.copytree(DATA, path / "data")
    done = run(
        path, "bert_ft.commands.main", "new-checkpoint", "chinese_L-12_H-768_A-12", "--vocab-file", "data/vocab.txt",
        "--num_hidden_layers=1", "--hidden_size=32", "--initializer_range=0.1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path


def assert_servable(output: Path) -> None:
    opened = open_model_directory(output)
    assert opened.metadata is not None
    shapes = encoder_shapes(opened.config) | ClassificationHead(len(opened.metadata.labels)).shapes(opened.config)
    CheckpointReader(opened.checkpoint).load(shapes)


def test_the_short_form_trains_evaluates_and_leaves_a_model_directory(folder: Path) -> None:
    done = run(folder, "bert_ft.run_classifier", "--task_name=emotion", "--num_train_epochs=1", "--output_dir=short")
    assert done.returncode == 0, done.stderr
    assert_servable(folder / "short")
    metrics = json.loads((folder / "short" / "metrics.json").read_text())
    results = dict(line.split(" = ") for line in (folder / "short" / "eval_results.txt").read_text().splitlines())
    assert float(results["eval_accuracy"]) == metrics["dev"]["accuracy"]
    assert results.keys() == {"eval_accuracy", "eval_loss", "global_step", "loss"}
    assert f"accuracy {metrics['dev']['accuracy']:.4f}" in done.stdout
    assert sum(one["support"] for one in metrics["dev"]["per_class"].values()) == 84
    wrong = sum(cell["count"] for cell in metrics["dev"]["most_confused"])
    assert wrong == round(84 * (1 - metrics["dev"]["accuracy"]))
    assert not (folder / "short" / "test_results.tsv").exists()


def test_googles_whole_command_line_also_predicts(folder: Path) -> None:
    checkpoint = "chinese_L-12_H-768_A-12"
    done = run(
        folder, "bert_ft.commands.main", "train", "--task_name=emotion", "--do_train=true", "--do_eval=true",
        "--do_predict", "--data_dir=data", f"--vocab_file={checkpoint}/vocab.txt",
        f"--bert_config_file={checkpoint}/bert_config.json",
        f"--init_checkpoint={checkpoint}/bert_model.ckpt", "--max_seq_length=64", "--train_batch_size=32",
        "--learning_rate=2e-5", "--num_train_epochs=0.5", "--output_dir=long",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    probabilities = np.loadtxt(folder / "long" / "test_results.tsv", delimiter="\t")
    assert probabilities.shape == (84, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    labels = json.loads((folder / "long" / "bert_ft.json").read_text())["labels"]
    rows = (folder / "data" / "fine_tuning_test_data.tsv").read_text(encoding="utf-8").splitlines()
    expected = [labels.index(row.split("\t")[1]) for row in rows]
    accuracy = np.mean(probabilities.argmax(axis=1) == expected)
    assert accuracy == pytest.approx(json.loads((folder / "long" / "metrics.json").read_text())["test"]["accuracy"])


def test_a_model_that_was_trained_can_be_scored_alone(folder: Path) -> None:
    first = run(folder, "bert_ft.run_classifier", "--task_name=emotion", "--num_train_epochs=0.2", "--output_dir=again")
    assert first.returncode == 0, first.stderr
    scores = json.loads((folder / "again" / "metrics.json").read_text())["dev"]
    second = run(folder, "bert_ft.run_classifier", "--task_name=emotion", "--do_eval", "--output_dir=again")
    assert second.returncode == 0, second.stderr
    assert json.loads((folder / "again" / "metrics.json").read_text())["dev"] == scores


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_a_usable_directory(folder: Path, number: int, status: int) -> None:
    name = f"stopped_{status}"
    command = ["bert_ft.run_classifier", "--task_name=emotion", "--num_train_epochs=5000", f"--output_dir={name}"]
    process = popen(["-m", *command], HEAVY, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output = folder / name
    deadline = time.monotonic() + 90
    while not (output / "bert_ft.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "interrupted after step" in errors
    assert "the same command with --resume continues after step" in errors
    assert "Traceback" not in errors
    assert_servable(output)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--task_name=emotions"], "task_name 'emotions' is not one of"),
        (["--task_name=emotion", "--data_dir=nowhere"], "nowhere: has no fine_tuning_train_data.tsv nor train.tsv"),
        (["--task_name=emotion", "--init_checkpoint=nowhere/bert_model.ckpt"], "nowhere/bert_model.ckpt.index"),
        (["--task_name=emotion", "--max_seq_length=513"], "--max_seq_length=513 is more than the model's 512"),
        (["--task_name=emotion", "--do_lower_case=false"], "--do_lower_case=false, but"),
        (["--task_name=emotion", "--do_eval", "--output_dir=none"], "none: has no trained model to score"),
        (["--task_name=xnli", "--do_predict"], "task xnli has no test file"),
        (["--task_name=emotion", "--learning_rate=fast"], "'fast' is not a valid float"),
        (["--task_name=emotion", "--lerning_rate=2"], "did you mean --learning_rate?"),
    ],
)
def test_a_fault_is_one_line_and_a_status(
    folder: Path, flags: list[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(run_classifier.main, [*flags, "--num_train_epochs=0.1"])
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)  # not a traceback
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert fault in errors[0]
