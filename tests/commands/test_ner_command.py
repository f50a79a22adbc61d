"""run_ner as a user types it, on sentences made here whose entities a small model can learn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bert_ft import run_ner
from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.export import new_checkpoint
from bert_ft.checkpoint.reader import CheckpointReader

NAMES = ["张伟", "李娜", "王芳", "刘洋", "陈静", "Anna"]
PLACES = ["北京", "上海", "广州", "成都", "New York"]
PATTERNS = ["{n}昨天去了{p}。", "{p}的{n}很忙！", "听说{n}和{m}都在{p}", "他从{p}来，认识{n}", "今天没有人来"]


def sentences(count: int, seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        pattern = str(rng.choice(PATTERNS))
        values = {"n": str(rng.choice(NAMES)), "m": str(rng.choice(NAMES)), "p": str(rng.choice(PLACES))}
        text, entities = "", []
        for part in pattern.replace("{", "\0{").replace("}", "}\0").split("\0"):
            if part.startswith("{"):
                value, kind = values[part[1]], "place" if part[1] == "p" else "name"
                entities.append({"start": len(text), "end": len(text) + len(value), "type": kind})
                part = value
            text += part
        rows.append({"text": text, "entities": entities})
    return rows


def write_conll(path: Path, rows: list[dict]) -> None:
    """A token a line, a character or a Latin word; BMES tags."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            for token in re.finditer(r"[A-Za-z]+|[^ ]", row["text"]):
                tag = "O"
                for entity in row["entities"]:
                    if entity["start"] <= token.start() < entity["end"]:
                        edges = token.start() == entity["start"], token.end() == entity["end"]
                        tag = {(1, 1): "S-", (1, 0): "B-", (0, 1): "E-", (0, 0): "M-"}[edges] + entity["type"]
                file.write(f"{token.group()} {tag}\n")
            file.write("\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ner")
    rows = {"train": sentences(300, 1), "dev": sentences(40, 2), "test": sentences(40, 3)}
    characters = sorted({c for split in rows.values() for row in split for c in row["text"].lower()} - {" "})
    pieces = [*characters, *(f"##{c}" for c in characters if c.isascii())]
    vocab = path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]) + "\n", encoding="utf-8")
    config = BertConfig(5 + len(pieces), 64, 2, 4, 128, type_vocab_size=2, initializer_range=0.1)
    new_checkpoint(path / "checkpoint", config, vocab, True, seed=1)
    for form in ("jsonl", "conll"):
        (path / form).mkdir()
        for name, split in rows.items():
            if form == "conll":
                write_conll(path / form / f"{name}.txt", split)
            else:
                lines = [json.dumps(row, ensure_ascii=False) for row in split]
                (path / form / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(folder: Path, *flags: str) -> Result:
    return CliRunner().invoke(
        run_ner.main, [f"--init_checkpoint={folder}/checkpoint", "--max_seq_length=64", "--learning_rate=1e-3", *flags]
    )


@pytest.mark.parametrize(("form", "head"), [("jsonl", "softmax"), ("conll", "crf")])
def test_entities_are_learned_scored_and_written(folder: Path, form: str, head: str) -> None:
    output = folder / f"output_{form}"
    done = run(
        folder, f"--data_dir={folder / form}", f"--output_dir={output}", f"--head={head}", "--num_train_epochs=6",
        "--train_batch_size=16", "--do_train", "--do_eval", "--do_predict",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["dev"]["micro_f1"] > 0.95
    assert metrics["test"]["micro_f1"] > 0.95
    opened = open_model_directory(output)
    assert opened.metadata is not None
    assert opened.metadata.labels == ["O", "B-name", "I-name", "B-place", "I-place"]
    assert opened.metadata.head_options["id2label"]["1"] == "B-name"
    shapes = CheckpointReader(opened.checkpoint).shapes
    assert shapes["output_weights"] == (5, 64)
    assert ("crf/transitions" in shapes) == (head == "crf")
    lines = (output / "test_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 40
    found = [entity for line in lines for entity in json.loads(line)["entities"]]
    assert len(found) > 30
    for line in lines:
        row = json.loads(line)
        assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
    assert all(0 < entity["score"] <= 1 for entity in found)
    results = dict(row.split(" = ") for row in (output / "eval_results.txt").read_text().splitlines())
    assert float(results["eval_micro_f1"]) == metrics["dev"]["micro_f1"]
    columns = (output / "test_predictions.conll").read_text(encoding="utf-8").splitlines()[0].split("\t")
    assert len(columns) == 3


def test_training_options_do_what_they_say(folder: Path) -> None:
    """Frozen layers keep the checkpoint's weights; the head learns; copies double the data; patience ends it."""
    output = folder / "options"
    done = run(
        folder, f"--data_dir={folder / 'jsonl'}", f"--output_dir={output}", "--freeze_epochs=50", "--freeze_layers=1",
        "--layer_decay=0.9", "--head_learning_rate=1e-3", "--augment=1", "--early_stopping=1", "--num_train_epochs=30",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    before = CheckpointReader(folder / "checkpoint" / "bert_model.ckpt")
    after = CheckpointReader(output / "bert_model.ckpt")
    for name in ("bert/embeddings/word_embeddings", "bert/encoder/layer_0/output/dense/kernel"):
        np.testing.assert_array_equal(before.read(name), after.read(name))
    name = "bert/encoder/layer_1/output/dense/kernel"
    assert not np.array_equal(before.read(name), after.read(name))
    trained = json.loads((output / "metrics.json").read_text())["train"]
    assert trained["examples"] == 600
    evaluations = trained["history"]
    if trained["steps"] < 600 * 30 // 32:
        assert evaluations[-1]["micro_f1"] <= max(entry["micro_f1"] for entry in evaluations[:-1])


def test_development_data_can_be_held_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes.jsonl").write_bytes((folder / "jsonl" / "train.jsonl").read_bytes())
    flags = [f"--data_dir={tmp_path}", f"--output_dir={tmp_path / 'out'}", "--num_train_epochs=0.2"]
    done = run(folder, *flags)
    assert done.exit_code == 1
    assert "has no development data" in done.stderr
    done = run(folder, *flags, "--holdout=0.1")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["train"]["examples"] == 270


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--data_dir=nowhere"], "nowhere: no such folder"),
        (["--do_eval", "--output_dir=none"], "checkpoint: has no tagging head; give --do_train first"),
        (["--head=bilstm"], "'bilstm' is not one of"),
        (["--train_file=none.txt"], "none.txt: no such file"),
        (["--max_seq_length=513"], "--max_seq_length=513 is more than the model's 512"),
    ],
)
def test_a_fault_is_one_line(folder: Path, tmp_path: Path, flags: list[str], fault: str) -> None:
    base = [f"--data_dir={folder / 'jsonl'}", f"--output_dir={tmp_path / 'out'}"]
    command = CliRunner().invoke(run_ner.main, [*base, f"--init_checkpoint={folder}/checkpoint", *flags])
    assert command.exit_code in (1, 2)
    assert [fault in line for line in command.stderr.splitlines() if line.startswith("error:")] == [True]
