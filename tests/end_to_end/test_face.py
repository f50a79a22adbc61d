"""``import bert_ft``: what it offers, when it imports what, and that it answers as the server does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bert_serving.client import BertClient

import bert_ft
from bert_ft.errors import BertFtError
from tests.server.support import running_server
from tests.tiny_models import tiny_model

TEXTS = ["今天真开心", "a b ||| c", "听说陈志远要去海川市第一医院上班了！" * 5, "好"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_model(folder, name) for name in ("encoder", "classifier", "tagger")}


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    heavy = ("tensorflow", "numpy", "click", "pandas", "openvino", "tokenizers")
    code = f"import sys, bert_ft; print(dir(bert_ft)); sys.exit(any(name in sys.modules for name in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("Encoder", "Classifier", "Tagger", "ModelDirectory", "train"))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Decoder'"):
        _ = bert_ft.Decoder


@pytest.mark.parametrize("strategy", ["REDUCE_MEAN", "CLS_POOLED", "NONE"])
def test_vectors_are_the_servers(models: dict[str, Path], strategy: str) -> None:
    flags = ["-model_dir", str(models["encoder"]), "-pooling_strategy", strategy, "-max_seq_len", "20"]
    with running_server(*flags) as server, BertClient(port=server.port, port_out=server.port_out) as client:
        expected = client.encode(TEXTS)
        words = client.encode([["今", "天"]], is_tokenized=True)
    encoder = bert_ft.Encoder(models["encoder"], strategy, max_seq_length=20)
    vectors = encoder.encode(TEXTS)
    assert (vectors.shape, vectors.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode([["今", "天"]]), words, atol=1e-5)


def _parts(value: Any) -> tuple[Any, list[float]]:
    """A value without its scores, and these."""
    scores: list[float] = []
    return json.loads(json.dumps(value), parse_float=lambda text: scores.append(float(text))), scores


@pytest.mark.parametrize(("kind", "task"), [("classifier", "classify"), ("tagger", "tag")])
def test_classes_and_entities_are_the_servers(models: dict[str, Path], kind: str, task: str) -> None:
    with (
        running_server("-model_dir", str(models[kind])) as server,
        BertClient(port=server.port, port_out=server.port_out) as client,
    ):
        expected = [
            [one._asdict() for one in answer] if task == "tag" else answer._asdict()
            for answer in getattr(client, task)(TEXTS)
        ]
        tags = client.tag(TEXTS, output="tags") if task == "tag" else None
    model = (bert_ft.Tagger if task == "tag" else bert_ft.Classifier)(models[kind])
    found = getattr(model, task)(TEXTS)
    (answers, scores), (expected_answers, expected_scores) = _parts(found), _parts(expected)
    assert answers == expected_answers
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    if tags is not None:
        assert model.tag(TEXTS, output="tags") == tags


def test_a_model_directory_says_what_it_is(models: dict[str, Path]) -> None:
    directory = bert_ft.ModelDirectory.open(models["tagger"])
    assert directory.metadata is not None
    assert (directory.metadata.head, directory.window_pieces, directory.config.hidden_size) == ("tagging", 64, 128)


def test_what_does_not_fit_is_refused_in_a_line(models: dict[str, Path]) -> None:
    with pytest.raises(BertFtError, match="has no head, only an encoder"):
        bert_ft.Classifier(models["encoder"])
    with pytest.raises(BertFtError, match="has a tagging head, not one for classification"):
        bert_ft.Classifier(models["tagger"])
    with pytest.raises(BertFtError, match="pooling strategy 'MEAN' is not known"):
        bert_ft.Encoder(models["encoder"], "MEAN")
    with pytest.raises(BertFtError, match="output must be one of entities, tags, not 'bio'"):
        bert_ft.Tagger(models["tagger"]).tag(["好"], output="bio")
    with pytest.raises(BertFtError, match="more than the model's 128 positions"):
        bert_ft.Encoder(models["encoder"], max_seq_length=129)
