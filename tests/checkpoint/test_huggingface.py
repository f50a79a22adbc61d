"""Hugging Face folders in and out: every bit kept, every fault one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from bert_ft.checkpoint.directory import ModelMetadata, open_model_directory
from bert_ft.checkpoint.huggingface.convert import export_model, import_model
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.commands.main import main
from bert_ft.errors import BertFtError
from bert_ft.model.heads import TaggingHead

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b"]
HIDDEN, INNER, LAYERS, POSITIONS = 4, 6, 2, 9
CONFIG = {
    "model_type": "bert", "architectures": ["BertModel"], "vocab_size": len(VOCAB), "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": INNER, "hidden_act": "gelu",
    "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12, "transformers_version": "5.0.0",
}  # fmt: skip
LABELS = {"0": "O", "1": "B-dish", "2": "I-dish"}
TAGGER = {"architectures": ["BertForTokenClassification"], "id2label": LABELS}
CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "bad", "1": "good", "2": "so-so"}}


def tensor_shapes(labels: int = 0, pooler: bool = True) -> dict[str, tuple[int, ...]]:
    """What transformers' BertModel of this size has, written out from its own state_dict."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCAB), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{layer}.{name}.weight": (HIDDEN, HIDDEN), f"{layer}.{name}.bias": (HIDDEN,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{layer}.{name}.weight": (HIDDEN,), f"{layer}.{name}.bias": (HIDDEN,)}
        shapes |= {f"{layer}.intermediate.dense.weight": (INNER, HIDDEN), f"{layer}.intermediate.dense.bias": (INNER,)}
        shapes |= {f"{layer}.output.dense.weight": (HIDDEN, INNER), f"{layer}.output.dense.bias": (HIDDEN,)}
    if pooler:
        shapes |= {"pooler.dense.weight": (HIDDEN, HIDDEN), "pooler.dense.bias": (HIDDEN,)}
    if labels:
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
        shapes |= {"classifier.weight": (labels, HIDDEN), "classifier.bias": (labels,)}
    return shapes


def random_bits(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Any 32 bits: infinities, NaN with payloads, negative zeros and subnormals among them."""
    generator = np.random.default_rng(seed)
    values = {
        name: generator.integers(0, 2**32, shape, np.uint32).view(np.float32) for name, shape in sorted(shapes.items())
    }
    special = np.array([0x80000000, 0x7FC00001, 0xFF800000, 0x00000001], np.uint32).view(np.float32)
    next(value for value in values.values() if value.shape == (HIDDEN,))[:] = special
    return values


def write_folder(path: Path, tensors: dict[str, np.ndarray], **config: Any) -> Path:
    path.mkdir(parents=True)
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(CONFIG | config))
    (path / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "model_max_length": 7}))
    return path


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("bert_ft"), "propagate", True)
    return caplog


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", [{}, CLASSIFIER, TAGGER], ids=["encoder", "classifier", "tagger"])
def test_export_after_import_is_the_identity_bit_for_bit(tmp_path: Path, config: dict, seed: int) -> None:
    tensors = random_bits(tensor_shapes(3 if config else 0), seed)
    import_model(write_folder(tmp_path / "hf", tensors, **config), tmp_path / "google")
    export_model(tmp_path / "google", tmp_path / "back")
    assert same_bits(load_file(tmp_path / "back" / "model.safetensors"), tensors)
    written = json.loads((tmp_path / "back" / "config.json").read_text())
    assert {key: written.get(key) for key in {**CONFIG, **config} if key != "transformers_version"} == {
        key: value for key, value in {**CONFIG, **config}.items() if key != "transformers_version"
    }
    assert written.get("label2id", {}) == {label: int(i) for i, label in config.get("id2label", {}).items()}
    tokenizer = json.loads((tmp_path / "back" / "tokenizer_config.json").read_text())
    assert (tokenizer["do_lower_case"], tokenizer["model_max_length"]) == (False, 7)
    assert (tmp_path / "back" / "vocab.txt").read_text() == (tmp_path / "hf" / "vocab.txt").read_text()


@pytest.mark.parametrize("crf", [False, True])
def test_import_after_export_is_the_identity_for_our_own_taggers(tmp_path: Path, crf: bool) -> None:
    import_model(write_folder(tmp_path / "hf", random_bits(tensor_shapes())), tmp_path / "first")
    opened = open_model_directory(tmp_path / "first")
    head = TaggingHead(3, crf)
    weights = CheckpointReader(opened.checkpoint).load(encoder_shapes(opened.config))
    weights |= initialize(head.shapes(opened.config), 0.02, 1)
    options = {"crf": crf, "id2label": LABELS, "label2id": {label: int(i) for i, label in LABELS.items()}}
    metadata = ModelMetadata("ner", "tagging", list(LABELS.values()), 7, True, options)
    save_model_directory(tmp_path / "tagger", weights, opened.config, opened.vocab_file, metadata)
    export_model(tmp_path / "tagger", tmp_path / "hf2")
    import_model(tmp_path / "hf2", tmp_path / "again")
    again = open_model_directory(tmp_path / "again")
    assert again.metadata is not None
    assert again.config == opened.config
    assert (again.metadata.head, again.metadata.labels) == ("tagging", metadata.labels)
    assert again.metadata.head_options == options
    assert again.metadata.do_lower_case is True
    read = CheckpointReader(again.checkpoint)
    assert same_bits({name: read.read(name) for name in read.shapes}, weights)


def test_values_stand_where_google_has_them(tmp_path: Path) -> None:
    tensors = random_bits(tensor_shapes(3))
    import_model(write_folder(tmp_path / "hf", tensors, **CLASSIFIER), tmp_path / "google")
    reader = CheckpointReader(tmp_path / "google" / "bert_model.ckpt")
    turned = tensors["bert.encoder.layer.1.intermediate.dense.weight"].T
    assert reader.read("bert/encoder/layer_1/intermediate/dense/kernel").tobytes() == turned.tobytes()
    for google, theirs in {
        "bert/embeddings/word_embeddings": "bert.embeddings.word_embeddings.weight",
        "bert/encoder/layer_0/output/LayerNorm/gamma": "bert.encoder.layer.0.output.LayerNorm.weight",
        "bert/encoder/layer_0/attention/self/key/bias": "bert.encoder.layer.0.attention.self.key.bias",
        "output_weights": "classifier.weight",
        "output_bias": "classifier.bias",
    }.items():
        assert reader.read(google).tobytes() == tensors[theirs].tobytes()
    metadata = open_model_directory(tmp_path / "google").metadata
    assert metadata is not None
    assert (metadata.head, metadata.labels) == ("classification", ["bad", "good", "so-so"])
    assert (metadata.do_lower_case, metadata.max_seq_length) == (False, 7)


def test_old_names_prefix_and_buffers_change_nothing(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    tensors = random_bits(tensor_shapes())
    old = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in tensors.items()
    }
    old["bert.embeddings.position_ids"] = np.arange(POSITIONS)[None]
    import_model(write_folder(tmp_path / "hf", old), tmp_path / "google")
    export_model(tmp_path / "google", tmp_path / "back")
    assert same_bits(load_file(tmp_path / "back" / "model.safetensors"), tensors)
    assert log.messages == []


def test_unknown_tensors_are_named_in_one_line_and_left_out(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    more = {"cls.predictions.bias": (3,), "classifier.weight": (3, HIDDEN), "classifier.bias": (3,)}
    tensors = random_bits(tensor_shapes() | more)
    import_model(write_folder(tmp_path / "hf", tensors), tmp_path / "google")
    assert log.messages == ["3 tensors left out: classifier.bias, classifier.weight, cls.predictions.bias"]
    assert "output_weights" not in CheckpointReader(tmp_path / "google" / "bert_model.ckpt").shapes


def test_an_encoder_only_import_leaves_the_head(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes(3)), **TAGGER)
    import_model(folder, tmp_path / "google", encoder_only=True)
    metadata = open_model_directory(tmp_path / "google").metadata
    assert metadata is not None
    assert (metadata.head, metadata.labels, metadata.head_options) == (None, [], {})


def test_a_pooler_that_is_missing_is_drawn_and_said(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes(3, pooler=False)), **TAGGER)
    import_model(folder, tmp_path / "one")
    import_model(folder, tmp_path / "two")
    assert log.messages == [f"{folder}: has no pooler; its weights are random (seed 0)"] * 2
    one, two = (CheckpointReader(tmp_path / name / "bert_model.ckpt") for name in ("one", "two"))
    kernel = one.read("bert/pooler/dense/kernel")
    assert kernel.tobytes() == two.read("bert/pooler/dense/kernel").tobytes()
    assert 0 < np.abs(kernel).max() <= 0.04


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_are_widened_exactly(tmp_path: Path, dtype: Any) -> None:
    shapes = tensor_shapes()
    narrow = {name: np.random.default_rng(1).normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    import_model(_with_raw_tensors(write_folder(tmp_path / "hf", random_bits(shapes)), narrow), tmp_path / "google")
    read = CheckpointReader(tmp_path / "google" / "bert_model.ckpt").read("bert/embeddings/word_embeddings")
    assert (read == narrow["embeddings.word_embeddings.weight"].astype(np.float32)).all()
    assert (read.astype(dtype) == narrow["embeddings.word_embeddings.weight"]).all()


def _with_raw_tensors(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    """safetensors by its specification, for it writes no bfloat16 from NumPy."""
    kinds = {"float16": "F16", "bfloat16": "BF16"}
    header, at = {}, 0
    for name, value in tensors.items():
        span = [at, at := at + value.nbytes]
        header[name] = {"dtype": kinds[value.dtype.name], "shape": value.shape, "data_offsets": span}
    head = json.dumps(header).encode()
    data = len(head).to_bytes(8, "little") + head + b"".join(value.tobytes() for value in tensors.values())
    (folder / "model.safetensors").write_bytes(data)
    return folder


def test_weights_in_several_files(tmp_path: Path) -> None:
    tensors = random_bits(tensor_shapes())
    folder = write_folder(tmp_path / "hf", tensors)
    (folder / "model.safetensors").unlink()
    parts = {name: f"model-0000{len(name) % 2 + 1}-of-00002.safetensors" for name in tensors}
    for part in set(parts.values()):
        save_file({name: value for name, value in tensors.items() if parts[name] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    import_model(folder, tmp_path / "google")
    export_model(tmp_path / "google", tmp_path / "back")
    assert same_bits(load_file(tmp_path / "back" / "model.safetensors"), tensors)


@pytest.mark.parametrize(
    ("theirs", "ours", "back"),
    [
        ("gelu", "gelu", "gelu"),
        ("gelu_new", "gelu_new", "gelu_new"),
        ("gelu_pytorch_tanh", "gelu_tanh", "gelu_pytorch_tanh"),
        ("gelu_fast", "gelu_new", "gelu_new"),
        ("relu", "relu", "relu"),
    ],
)
def test_activations(tmp_path: Path, theirs: str, ours: str, back: str) -> None:
    import_model(write_folder(tmp_path / "hf", random_bits(tensor_shapes()), hidden_act=theirs), tmp_path / "google")
    assert open_model_directory(tmp_path / "google").config.hidden_act == ours
    export_model(tmp_path / "google", tmp_path / "back")
    assert json.loads((tmp_path / "back" / "config.json").read_text())["hidden_act"] == back


def test_casing_is_asked_for_then_known_then_said(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes()))

    def casing(asked: bool | None) -> bool:
        import_model(folder, tmp_path / "google", asked, overwrite=True)
        metadata = open_model_directory(tmp_path / "google").metadata
        assert metadata is not None
        return metadata.do_lower_case

    assert (casing(None), casing(True), casing(False)) == (False, True, False)
    assert log.messages == []
    (folder / "tokenizer_config.json").unlink()
    assert casing(None) is True
    assert "does not give do_lower_case; text will be lower-cased" in log.messages[-1]


def _config(**change: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(CONFIG | change))


def _tensors(edit: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = random_bits(tensor_shapes())
        edit(tensors)
        save_file(tensors, folder / "model.safetensors")

    return change


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json: no such file"),
        (_write("config.json", "{"), "config.json: not a readable JSON file"),
        (_write("config.json", "[]"), "config.json: must hold one JSON object"),
        (_config(model_type="roberta"), "model_type is 'roberta'; only models of type 'bert'"),
        (_config(model_type=None), "model_type is None"),
        (_config(layer_norm_eps=1e-5), "layer_norm_eps is 1e-05"),
        (_config(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key'"),
        (_config(is_decoder=True), "is_decoder is True"),
        (_config(hidden_act="silu"), "hidden_act 'silu' is not one of"),
        (_config(num_attention_heads=3), "not a multiple of num_attention_heads"),
        (_config(num_hidden_layers=3), "tensor encoder.layer.2.attention.self.query.weight is missing"),
        (_config(intermediate_size=5), "has shape [6, 4], config.json asks for [5, 4]"),
        (_config(vocab_size=8), "has 7 entries, but the configuration says vocab_size 8"),
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt: no such file"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (_only_pickle, "pytorch_model.bin is a pickle"),
        (_write("model.safetensors", "version https://git-lfs.github.com"), "not a readable safetensors file"),
        (_tensors(lambda t: t.pop("pooler.dense.bias")), "tensor pooler.dense.bias is missing"),
        (_tensors(lambda t: t.update({"bert.pooler.dense.bias": np.zeros(4, np.float32)})), "are the same tensor"),
        (_tensors(lambda t: t.update({"pooler.dense.bias": np.zeros(4)})), "pooler.dense.bias is F64; only F32, F16"),
        (_config(**CLASSIFIER), "says BertForSequenceClassification, but there is no tensor classifier.weight"),
        (_write("tokenizer_config.json", '{"do_lower_case": "yes"}'), "do_lower_case must be true or false"),
        (_write("tokenizer_config.json", '{"do_lower_case": true, "strip_accents": false}'), "strip_accents is False"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(tmp_path: Path, break_it: Callable[[Path], object], fault: str) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes()))
    break_it(folder)
    _check_fault(folder, tmp_path, fault)


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (TAGGER | {"id2label": {"0": "O", "1": "B-dish"}}, "id2label must name the ids 0 to 2"),
        (TAGGER | {"id2label": ["O"]}, "id2label must name the ids 0 to 2"),
        (TAGGER | {"id2label": {"0": "O", "1": "B-a", "2": "B-a"}}, "id2label has a name twice"),
        (TAGGER | {"id2label": {"0": "O", "1": "I-a", "2": "I-b"}}, "label 'I-a' does not fit the BIO scheme"),
        (TAGGER | {"id2label": None}, "label 'LABEL_0' does not fit the BIO scheme"),
        (CLASSIFIER | {"problem_type": "multi_label_classification"}, "a multi-label classifier"),
    ],
)
def test_a_fault_of_a_head_is_one_line(tmp_path: Path, config: dict, fault: str) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes(3)), **config)
    _check_fault(folder, tmp_path, fault)


def _check_fault(folder: Path, tmp_path: Path, fault: str) -> None:
    result = CliRunner().invoke(main, ["import-hf", str(folder), str(tmp_path / "google")])
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert fault in line
    assert not (tmp_path / "google").exists()


def test_the_commands(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "hf", random_bits(tensor_shapes(3)), **CLASSIFIER)
    result = CliRunner().invoke(main, ["import-hf", str(folder), str(tmp_path / "google"), "--do-lower-case=true"])
    assert (result.exit_code, "classification head, lower-cased" in result.output) == (0, True), result.output
    result = CliRunner().invoke(main, ["export-hf", str(tmp_path / "google"), str(tmp_path / "back")])
    assert (result.exit_code, "BertForSequenceClassification" in result.output) == (0, True), result.output
    assert (tmp_path / "back" / "model.safetensors").stat().st_mode & 0o077 == (
        (tmp_path / "back" / "vocab.txt").stat().st_mode & 0o077
    )
    result = CliRunner().invoke(main, ["export-hf", str(tmp_path / "nowhere"), str(tmp_path / "b")])
    assert (result.exit_code, "nowhere: no such directory" in result.output) == (1, True)


def test_exporting_what_googles_tools_wrote_takes_its_head_along(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    tensors = random_bits(tensor_shapes(3))
    import_model(write_folder(tmp_path / "hf", tensors, **CLASSIFIER), tmp_path / "google")
    (tmp_path / "google" / "bert_ft.json").unlink()
    export_model(tmp_path / "google", tmp_path / "back")
    assert same_bits(load_file(tmp_path / "back" / "model.safetensors"), tensors)
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["id2label"] == {"0": "0", "1": "1", "2": "2"}
    assert "has no bert_ft.json" in log.messages[-1]


def test_nothing_is_left_when_the_output_cannot_be_written(tmp_path: Path) -> None:
    import_model(write_folder(tmp_path / "hf", random_bits(tensor_shapes())), tmp_path / "google")
    (tmp_path / "file").write_text("")
    with pytest.raises(BertFtError, match="could not be written"):
        export_model(tmp_path / "google", tmp_path / "file" / "back")
