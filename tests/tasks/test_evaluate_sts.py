"""bert-ft evaluate-sts: coefficients by their definitions, vectors by the model run text by text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.commands.main import main
from bert_ft.errors import BertFtError
from bert_ft.inference.vectors import Encoder
from bert_ft.model.encoder import embedding_weights, encode, layer_weights
from bert_ft.model.tensors import PackedTensors
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.tasks.similarity.evaluate import correlate, cosines
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "A", "一", "二"]
CONFIG = BertConfig(
    len(TOKENS), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=16, type_vocab_size=2,
)  # fmt: skip
ROWS = [
    ("a b", "a c", 3.5), ("a", "h h g", 0.5), ("b", "b", 5.0), ("一 二", "一", 4.0),
    ("a b c d e f", "g", 0.5), ("c", "a b", 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    (path / "given.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    weights = initialize(encoder_shapes(CONFIG), 0.7, seed=8)
    save_model_directory(path, weights, CONFIG, path / "given.txt", ModelMetadata("encoder", None, [], 16, False))
    return path


@pytest.fixture
def run(model_dir: Path, tmp_path: Path) -> Callable[..., Result]:
    def call(*flags: str, rows: Sequence[tuple] = ROWS, text: str | None = None) -> Result:
        source = tmp_path / "pairs.tsv"
        source.write_text(text if text is not None else "".join("\t".join(map(str, row)) + "\n" for row in rows))
        return CliRunner().invoke(main, ["evaluate-sts", f"--model_dir={model_dir}", f"--file={source}", *flags])

    return call


@pytest.fixture
def answer(run: Callable[..., Result], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def call(*flags: str, rows: Sequence[tuple] = ROWS) -> dict[str, Any]:
        result = run(*flags, f"--output={tmp_path / 'result.json'}", rows=rows)
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "result.json").read_text())

    return call


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """By the definition, in Python's own arithmetic."""
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    covariance = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / math.sqrt(math.fsum((a - mean_x) ** 2 for a in x) * math.fsum((b - mean_y) ** 2 for b in y))


def ranks(values: Sequence[float]) -> list[float]:
    """Mean ranks."""
    return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]


def hidden_layers(model_dir: Path, text: str) -> list[np.ndarray]:
    """Each layer's output for one text alone, [L, hidden]."""
    weights = initialize(encoder_shapes(CONFIG), 0.7, seed=8)
    inputs = InputBuilder(FullTokenizer(Vocab.load(model_dir / "vocab.txt"), False), 16)
    batch = PackedTensors.of(pack(inputs.pairs([(text, None)])))
    layers = [layer_weights(weights, index) for index in range(3)]
    return [output.numpy() for output in encode(embedding_weights(weights), layers, CONFIG, batch)]


POOLED = {
    "REDUCE_MEAN": lambda x: x.mean(axis=0),
    "REDUCE_MAX": lambda x: x.max(axis=0),
    "REDUCE_MEAN_MAX": lambda x: np.concatenate([x.mean(axis=0), x.max(axis=0)]),
    "CLS_TOKEN": lambda x: x[0],
    "SEP_TOKEN": lambda x: x[-1],
}


@pytest.mark.parametrize("strategy", POOLED)
@pytest.mark.parametrize("layers", [[-2], [0, -1]])
def test_coefficients_of_the_cosines_of_vectors_made_text_by_text(
    model_dir: Path, answer: Callable[..., dict[str, Any]], strategy: str, layers: list[int]
) -> None:
    def vector(text: str) -> np.ndarray:
        outputs = hidden_layers(model_dir, text)
        return POOLED[strategy](np.concatenate([outputs[layer] for layer in layers], axis=-1)).astype(np.float64)

    found = [float(vector(a) @ vector(b) / (np.linalg.norm(vector(a)) * np.linalg.norm(vector(b)))) for a, b, _ in ROWS]
    scores = [float(score) for *_, score in ROWS]
    result = answer(f"--pooling_strategy={strategy}", "--pooling_layer", *map(str, layers), "--batch_size=4")
    assert result["pearson"] == pytest.approx(pearson(found, scores), abs=1e-5)
    assert result["spearman"] == pytest.approx(pearson(ranks(found), ranks(scores)), abs=1e-9)
    assert (result["pairs"], result["skipped"], result["pooling_layer"]) == (len(ROWS), 0, layers)


def test_identical_sentences_and_the_pooler(model_dir: Path) -> None:
    for strategy in (PoolingStrategy.REDUCE_MEAN, PoolingStrategy.CLS_POOLED):
        vectors = Encoder(model_dir, strategy, batch_size=1).encode(["a b", "h", "a  b"])
        assert vectors.shape == (3, 32)
        np.testing.assert_allclose(cosines(vectors[:1], vectors[2:]), 1.0, atol=1e-6)
        assert cosines(vectors[:1], vectors[1:2])[0] < 0.999
    expected = np.tanh(hidden_layers(model_dir, "h")[-1][0] @ _pooler("kernel") + _pooler("bias"))
    np.testing.assert_allclose(vectors[1], expected, atol=1e-5)


def test_bf16_is_near_and_not_the_same(model_dir: Path) -> None:
    texts = ["a b", "h", "c d e f"]
    exact = Encoder(model_dir).encode(texts)
    rounded = Encoder(model_dir, precision="bf16").encode(texts)
    assert np.abs(exact - rounded).max() > 0
    assert cosines(exact, rounded).min() > 0.995


def _pooler(part: str) -> np.ndarray:
    return initialize(encoder_shapes(CONFIG), 0.7, seed=8)[f"bert/pooler/dense/{part}"]


def test_known_cosines_and_coefficients() -> None:
    first = np.array([[1, 0], [1, 0], [1, 1], [3, 4], [0, 0]], np.float32)
    second = np.array([[2, 0], [0, 5], [1, -1], [-3, -4], [1, 1]], np.float32)
    np.testing.assert_allclose(cosines(first, second), [1, 0, 0, -1, 0], atol=1e-12)
    exact = correlate(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    assert (exact.pearson, exact.spearman) == pytest.approx((1.0, 1.0))
    values, scores = [0.1, 0.5, 0.5, 0.2, 0.9], [1.0, 2.0, 5.0, 5.0, 3.0]
    found = correlate(np.array(values), np.array(scores))
    assert found.pearson == pytest.approx(pearson(values, scores))
    assert found.spearman == pytest.approx(pearson(ranks(values), ranks(scores)))
    with pytest.raises(BertFtError, match="not finite"):
        cosines(first, np.full_like(second, np.nan))


def test_the_table_the_file_and_rows_left_out(tmp_path: Path, run: Callable[..., Result]) -> None:
    rows = [*ROWS, ("a", "", 1), ("a", "b", "?")]
    result = run("--on_bad_row=skip", f"--output={tmp_path / 'result.json'}", rows=rows)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "result.json").read_text())
    table = dict(line.split() for line in result.stdout.splitlines())
    assert (table["pairs"], table["skipped"]) == ("6", "2")
    assert float(table["pearson"]) == pytest.approx(written["pearson"], abs=5.1e-5)
    assert float(table["spearman"]) == pytest.approx(written["spearman"], abs=5.1e-5)
    assert (written["pairs"], written["skipped"], written["pooling_strategy"]) == (6, 2, "REDUCE_MEAN")


def test_casing_length_and_masks_reach_the_model(answer: Callable[..., dict[str, Any]]) -> None:
    rows = [("A a b c d", "a a", 1), ("b A", "c a", 2), ("h", "A g", 4), ("a", "c c c", 3)]
    given = [[], ["--do_lower_case"], ["--max_seq_length=4"], ["--mask_cls_sep"]]
    answers = [answer(*flags, rows=rows)["pearson"] for flags in given]
    assert len(set(answers)) == len(given)


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--pooling_strategy=NONE"], "gives a vector for each token"),
        (["--pooling_strategy=CLASSIFICATION"], "gives the scores of a head"),
        (["--pooling_strategy=REGRESSION"], "gives the scores of a head"),
        (["--pooling_layer", "-4"], "pooling_layer -4 is out of range: the model has 3 layers"),
        (["--max_seq_length=17"], "more than the model's 16 positions"),
        (["--score_column=9"], "no column '9'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(run: Callable[..., Result], flags: list[str], fault: str) -> None:
    result = run(*flags)
    assert result.exit_code == 1
    assert fault in result.stderr.splitlines()[-1]


def test_nothing_to_correlate(run: Callable[..., Result]) -> None:
    for text, fault in (
        ("a\tb\t1\n", "the scores of all 1 pairs are equal"),
        ("a\tb\t1\nb\tc\t1\n", "the scores of all 2 pairs are equal"),
        ("a\tb\t1\na\tb\t2\n", "all 2 pairs have the same cosine"),
    ):
        result = run(text=text)
        assert result.exit_code == 1
        assert fault in result.stderr.splitlines()[-1]
