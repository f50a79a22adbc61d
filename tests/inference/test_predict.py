"""bert-ft predict, with a tagger that knows each word's tag by heart and a classifier of random weights."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelDirectory, ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.commands.main import main
from bert_ft.errors import BertFtError
from bert_ft.files.lines import replaced_lines, text_chunks
from bert_ft.inference.classes import Classifier
from bert_ft.inference.entities import Tagger
from bert_ft.inference.predict import load_predictor, predict
from bert_ft.model.encoder import embedding_weights, encode, layer_weights
from bert_ft.model.heads import ClassificationHead, TaggingHead
from bert_ft.model.tensors import PackedTensors
from bert_ft.model.trainable import BertModel
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.preloaded import HEAVY, popen

TAGS = ["O", "B-city", "I-city", "B-dish", "I-dish"]
WORDS = {
    "new": "B-city", "york": "I-city", "lis": "B-city", "##bon": "O", "浙": "B-dish", "商": "I-dish", "cafe": "B-dish",
    "a": "O", "b": "O", "，": "O", "。": "O", "|": "O",
}  # fmt: skip
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
POSITIONS = 24


def _config(hidden: int) -> BertConfig:
    return BertConfig(
        len(SPECIAL) + len(WORDS), hidden_size=hidden, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=POSITIONS, type_vocab_size=2, initializer_range=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in [*SPECIAL, *WORDS]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, vocab_file: Path) -> Path:
    """Its vectors depend on the word alone, and its head was solved for the tags of WORDS."""
    config = _config(hidden=32)
    weights = initialize(encoder_shapes(config), 0.5, seed=3)
    for name, value in weights.items():
        if "/layer_" in name and name.endswith("kernel"):
            value[:] = 0
        if name.endswith(("token_type_embeddings", "position_embeddings")):
            value[:] = 0
    ids = np.arange(config.vocab_size, dtype=np.int32)
    features = InputFeatures(ids.tolist(), [0] * len(ids), (), [], [], False)
    batch = PackedTensors.of(pack([features]))
    hidden = encode(embedding_weights(weights), [layer_weights(weights, 0)], config, batch)[-1].numpy()
    wanted = np.zeros((len(ids), len(TAGS)))
    wanted[ids, [TAGS.index(WORDS.get(word, "O")) for word in [*SPECIAL, *WORDS]]] = 20.0
    weights["output_weights"] = np.linalg.lstsq(hidden, wanted, rcond=None)[0].T.astype(np.float32)
    weights["output_bias"] = np.zeros(len(TAGS), np.float32)
    path = tmp_path_factory.mktemp("tagger")
    save_model_directory(
        path, weights, config, vocab_file, ModelMetadata("ner", TaggingHead.name, TAGS, 12, True, {"crf": False})
    )
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, vocab_file: Path) -> Path:
    config = _config(hidden=32)
    head = ClassificationHead(3)
    weights = initialize(encoder_shapes(config) | head.shapes(config), 1.0, seed=4)
    path = tmp_path_factory.mktemp("classifier")
    metadata = ModelMetadata("emotion", head.name, ["bad", "good", "so-so"], 12, True)
    save_model_directory(path, weights, config, vocab_file, metadata)
    return path


def run(tmp_path: Path, model_dir: Path, content: bytes | str, *flags: str) -> list[dict[str, Any]]:
    source = tmp_path / "texts.txt"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    target = tmp_path / "out.jsonl"
    command = ["predict", f"--model_dir={model_dir}", f"--input={source}", f"--output={target}", *flags]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "out.jsonl"}
    return [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n")[:-1]]


def found(answer: dict[str, Any]) -> list[tuple[str, str, int]]:
    text = answer["text"]
    for entity in answer["entities"]:
        assert entity.keys() == {"type", "text", "start", "end", "score"}
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert 0.99 < entity["score"] <= 1
    return [(entity["type"], entity["text"], entity["start"]) for entity in answer["entities"]]


def test_entities_of_each_line_in_order(tmp_path: Path, tagger: Path) -> None:
    content = "\ufeffa New  York a lisbon\r\n\n😂浙商，浙 b\n \t\na b\ncafe\u0301 b\nnew new york"
    answers = run(tmp_path, tagger, content)
    assert [answer["text"] for answer in answers] == [
        "a New  York a lisbon", "", "😂浙商，浙 b", " \t", "a b", "cafe\u0301 b", "new new york",
    ]  # fmt: skip
    assert [found(answer) for answer in answers] == [
        [("city", "New  York", 2), ("city", "lisbon", 14)],
        [],
        [("dish", "浙商", 1), ("dish", "浙", 4)],
        [],
        [],
        [("dish", "cafe\u0301", 0)],
        [("city", "new", 0), ("city", "new york", 4)],
    ]


def test_a_text_longer_than_the_model_is_read_to_its_end(tmp_path: Path, tagger: Path) -> None:
    generator = random.Random(5)
    parts = generator.choices(["new york", "lisbon", "浙商商商", "a", "b，", "b。"], k=2100)
    kinds = {"new york": "city", "lisbon": "city", "浙商商商": "dish"}
    text = " ".join(parts)
    starts = [0, *np.cumsum([len(part) + 1 for part in parts]).tolist()]
    expected = [(kinds[part], part, at) for part, at in zip(parts, starts, strict=False) if part in kinds]
    assert len(text) > 10_000
    (answer,) = run(tmp_path, tagger, text)
    assert found(answer) == expected


def test_many_lines_come_out_in_order_whatever_the_batches(tmp_path: Path, tagger: Path) -> None:
    generator = random.Random(6)
    lines = [" ".join(generator.choices(["new york", "a", "浙商"], k=generator.randrange(9))) for _ in range(5000)]
    answers = run(tmp_path, tagger, "\n".join(lines) + "\n", "--batch_size=500")
    assert [answer["text"] for answer in answers] == lines
    assert [len(found(answer)) for answer in answers] == [line.count("new york") + line.count("浙商") for line in lines]


def _one_by_one(model_dir: Path, texts: list[str]) -> list[list[float]]:
    """Class probabilities of each text alone, from the model and the definition of softmax."""
    opened = ModelDirectory.open(model_dir)
    head = ClassificationHead(3)
    shapes = encoder_shapes(opened.config) | head.shapes(opened.config)
    model = BertModel(opened.config, head, CheckpointReader(opened.checkpoint).load(shapes))
    inputs = InputBuilder(FullTokenizer(Vocab.load(model_dir / "vocab.txt")), POSITIONS)
    logits = [model.head_logits(pack(inputs.texts([text])))[0].astype(np.float64) for text in texts]
    return [(np.exp(row) / np.exp(row).sum()).tolist() for row in logits]


def test_classes_are_those_of_each_text_alone(tmp_path: Path, classifier: Path) -> None:
    texts = ["a b", "new york a", "浙商", "b", "a ||| b", "lisbon " * 40, "a b a b a b"]
    answers = run(tmp_path, classifier, "\n".join(texts), "--batch_size=3")
    for text, answer, expected in zip(texts, answers, _one_by_one(classifier, texts), strict=True):
        assert answer["text"] == text
        assert list(answer["scores"]) == ["bad", "good", "so-so"]
        np.testing.assert_allclose(list(answer["scores"].values()), expected, atol=1e-5)
        assert answer["label"] == ["bad", "good", "so-so"][int(np.argmax(expected))]
        assert answer["score"] == answer["scores"][answer["label"]]
    assert [answer.get("truncated", False) for answer in answers] == [False] * 5 + [True, False]
    assert len({answer["label"] for answer in answers}) > 1


@pytest.mark.parametrize(("column", "rows_before"), [("second", 0), ("1", 1)])
def test_the_texts_of_a_table(tmp_path: Path, tagger: Path, column: str, rows_before: int) -> None:
    """A name stands in the first row, which is no text then; a number needs no such row."""
    source, target = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    source.write_text('first,second\nx,"new york,\n浙商"\ny,lisbon\n', encoding="utf-8")
    command = ["predict", f"--model_dir={tagger}", f"--input={source}", f"--output={target}"]
    result = CliRunner().invoke(main, [*command, f"--text_column={column}"])
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()][rows_before:]
    names = [("city", "new york", 0), ("dish", "浙商", 10)]
    assert [found(answer) for answer in answers] == [names, [("city", "lisbon", 0)]]


def test_a_line_without_words_has_an_error_in_the_place_of_a_class(tmp_path: Path, classifier: Path) -> None:
    answers = run(tmp_path, classifier, "a\n\n \u200b\nb\n")
    assert ["label" in answer for answer in answers] == [True, False, False, True]
    error = "the line has no text to classify"
    assert answers[1:3] == [{"text": "", "error": error}, {"text": " \u200b", "error": error}]
    assert run(tmp_path, classifier, "\n") == [{"text": "", "error": error}]
    assert run(tmp_path, classifier, "") == []


def test_the_bar_counts_texts_not_windows(tmp_path: Path, tagger: Path, classifier: Path) -> None:
    texts = ["a", "", "new york " * 50, " ", "浙商"]
    for model_dir in (tagger, classifier):
        for chosen in (texts, ["", " "]):
            bar = tqdm(total=len(chosen), file=io.StringIO())
            assert len(list(load_predictor(model_dir, 2).lines(chosen, bar))) == len(chosen)
            assert bar.n == len(chosen)


def test_lengths_are_the_trainings_windows_and_the_models_positions(tagger: Path, classifier: Path) -> None:
    assert isinstance(entities := load_predictor(tagger, 1), Tagger)
    assert isinstance(classes := load_predictor(classifier, 1), Classifier)
    assert (entities.windows.max_seq_length, classes.inputs.max_seq_length) == (12, POSITIONS)
    assert isinstance(entities := load_predictor(tagger, 1, 20), Tagger)
    assert entities.windows.max_seq_length == 20


def test_standard_input_to_standard_output(tagger: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bert_ft.commands.main",
        "predict",
        f"--model_dir={tagger}",
        "--input",
        "-",
        "--output",
        "-",
    ]
    done = subprocess.run(command, input="new york\n浙商".encode(), capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [found(answer) for answer in answers] == [[("city", "new york", 0)], [("dish", "浙商", 0)]]


@pytest.mark.parametrize("target", ["-", "/dev/null"])
def test_of_a_stream_that_was_interrupted_nothing_is_said_to_be_as_before(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bert_ft.inference.predict.predict", interrupted)
    done = CliRunner().invoke(main, ["predict", "--model_dir=m", "--input=-", f"--output={target}"])
    assert (done.exit_code, done.stderr) == (130, "error: interrupted\n")


@pytest.mark.parametrize(("number", "moment"), [(signal.SIGINT, "reading"), (signal.SIGTERM, "loading")])
def test_a_signal_leaves_the_old_file_and_no_half_one(tmp_path: Path, tagger: Path, number: int, moment: str) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    command = ["-m", "bert_ft.commands.main", "predict", f"--model_dir={tagger}", "--input=-", f"--output={target}"]
    process = popen(command, HEAVY, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"a\n" * 5000)
    process.stdin.flush()

    def has_come() -> bool:
        making = [path.stat().st_size for path in tmp_path.iterdir() if path != target]
        return bool(making) and (moment == "loading" or making[0] > 0)

    deadline = time.monotonic() + 90
    while not has_come() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert has_come(), "the file in the making lies beside the target"
    process.send_signal(number)
    assert process.wait(60) == 128 + number  # though its input has not ended
    _, errors = process.communicate()
    assert errors.decode().endswith(f"error: interrupted; {target} is as it was before\n")
    assert "Traceback" not in errors.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model_dir": "nowhere"}, "nowhere: no such directory"),
        ({"model_dir": "encoder"}, "encoder: has no head, only an encoder"),
        ({"source": "nowhere.txt"}, "nowhere.txt: cannot be read (No such file"),
        ({"engine": "no.such:Engine"}, "the no.such:Engine engine cannot be imported: ModuleNotFoundError: No module"),
        ({"engine": "json:Nothing"}, "-engine json:Nothing: json has no Nothing"),
        ({"engine": "nothing"}, "-engine nothing is not known; choose one of auto,"),
        ({"source": "latin.txt"}, "latin.txt:2: not UTF-8"),
        ({"source": "utf16.txt"}, "utf16.txt:1: the file is UTF-16"),
        ({"source": "."}, ".: cannot be read (Is a directory)"),
        ({"target": "nowhere/out.jsonl"}, "nowhere/out.jsonl: cannot be written (No such file"),
        ({"target": "."}, ".: cannot be written (Is a directory)"),
        ({"target": "/dev/full"}, "/dev/full: cannot be written (No space left"),
        ({"length": "25"}, "--max_seq_length=25 is more than the model's 24 positions"),
        ({"length": "2"}, "2 is not in the range x>=3"),
    ],
)
def test_a_fault_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tagger: Path, vocab_file: Path, change: dict, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = _config(hidden=8)
    encoder = initialize(encoder_shapes(config), 0.1, seed=1)
    save_model_directory("encoder", encoder, config, vocab_file, ModelMetadata("encoder", None, [], 24, True))
    Path("good.txt").write_text("a\nb\n")
    Path("latin.txt").write_bytes("a\né\nb".encode("latin-1"))
    Path("utf16.txt").write_bytes("a\nb".encode("utf-16"))
    before = set(tmp_path.iterdir())
    values = {
        "model_dir": str(tagger),
        "source": "good.txt",
        "target": "out.jsonl",
        "length": "12",
        "engine": "auto",
    } | change
    command = ["predict", "--model_dir", values["model_dir"], "--input", values["source"], "--engine", values["engine"]]
    result = CliRunner().invoke(main, [*command, "--output", values["target"], "--max_seq_length", values["length"]])
    assert result.exit_code in (1, 2)
    (line,) = [line for line in result.output.splitlines() if line.startswith("error:")]
    assert fault in line
    assert set(tmp_path.iterdir()) == before


def test_a_head_of_one_output_is_refused(tmp_path: Path, vocab_file: Path) -> None:
    config = _config(hidden=8)
    weights = initialize(encoder_shapes(config) | ClassificationHead(1).shapes(config), 0.1, seed=1)
    save_model_directory(
        tmp_path / "m", weights, config, vocab_file, ModelMetadata("x", "classification", ["0"], 9, True)
    )
    with pytest.raises(BertFtError, match="the head has one output"):
        predict(tmp_path / "m", "-", str(tmp_path / "out"), 8)


lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=5)


@given(texts=st.lists(lines, max_size=12), ends=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), data=st.data())
def test_chunks_are_the_lines_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ends: str, last: bool, data: st.DataObject
) -> None:
    texts = [text.rstrip("\r").removeprefix("\ufeff") for text in texts]
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes((ends.join(texts) + (ends if last and texts else "")).encode())
    if texts and not last and not texts[-1]:
        texts = texts[:-1]  # nothing after the last line's end
    limit = data.draw(st.integers(1, 5))
    chunks = list(text_chunks(str(path), max_lines=limit))
    assert list(chain(*chunks)) == texts
    assert all(len(chunk) == limit for chunk in chunks[:-1])
    assert all(len(chunk) == 1 for chunk in text_chunks(str(path), max_bytes=1))


def test_lines_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a\nb\nc\n\xff\n")
    chunks = text_chunks(str(path), max_lines=2)
    assert next(chunks) == ["a", "b"]
    with pytest.raises(BertFtError, match="4: not UTF-8"):
        next(chunks)


def test_a_device_is_written_and_stays_a_device() -> None:
    with replaced_lines("/dev/null") as write:
        write("x\n")
    assert Path("/dev/null").is_char_device()


def test_a_link_keeps_pointing_at_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with replaced_lines(str(tmp_path / "link")) as write:
        write("new\n")
        assert (tmp_path / "real").read_text() == "old"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new\n"
