"""The OpenVINO engine against the original server's vectors and the TensorFlow engine."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bert_serving.client import BertClient
from bert_serving.server.helper import get_args_parser
from bert_serving.server.settings import resolve

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata, open_model_directory
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.checkpoint.writer import write_variables
from bert_ft.engines import selection
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.openvino import int8 as openvino_int8
from bert_ft.engines.openvino import quantize as openvino_quantize
from bert_ft.engines.openvino.cache import StoredModel
from bert_ft.engines.openvino.calibration import MAX_TEXTS, calibration_texts
from bert_ft.engines.openvino.core import core
from bert_ft.engines.openvino.engine import OpenvinoEngine
from bert_ft.engines.openvino.graph import encoder_graph
from bert_ft.engines.openvino.inputs import graph_inputs
from bert_ft.engines.openvino.int8 import int8_graph
from bert_ft.engines.openvino.quantize import quantised_graph
from bert_ft.engines.parts import cut_by_length
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import Processor, this_processor
from bert_ft.model.backend import tf
from bert_ft.model.heads import ClassificationHead, TaggingHead
from bert_ft.text.packing import PackedBatch, pack
from tests.engines.test_engine_golden import features, unpacked
from tests.golden import FOLDER, GOLDEN, Golden
from tests.server.conftest import StartServer

ALL = frozenset({"encode", "head"})
LABELS = ["O", "B-x", "I-x"]


def options(model_dir: Path, *flags: str) -> EngineOptions:
    return resolve(get_args_parser().parse_args(["-model_dir", str(model_dir), *flags])).engine_options(None)


def random_batch(lengths: list[int], vocab_size: int = 68, masked: bool = False) -> PackedBatch:
    rng = np.random.default_rng(0)
    sizes = np.array(lengths, np.int32)
    total = int(sizes.sum())
    positions = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
    mask = np.ones(total, np.float32)
    if masked:
        mask[np.cumsum(sizes) - sizes] = mask[np.cumsum(sizes) - 1] = 0
    ids, segments = (rng.integers(0, maximum, total, np.int32) for maximum in (vocab_size, 2))
    return PackedBatch(ids, segments, positions, sizes, mask)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model directories with a head, by its name; 4 layers, so that the head needs layers above the pooled one."""
    folder = tmp_path_factory.mktemp("heads")
    config = BertConfig(68, 32, 4, 4, 64, "gelu_tanh", max_position_embeddings=64, type_vocab_size=2)
    made = {}
    for head in (ClassificationHead(3), TaggingHead(3, crf=True)):
        weights = initialize(encoder_shapes(config) | head.shapes(config), 0.2, seed=3)
        metadata = ModelMetadata("test", head.name, LABELS, 64, True, {"crf": head.name == "tagging"})
        made[head.name] = folder / head.name
        save_model_directory(made[head.name], weights, config, FOLDER / "small" / "vocab.txt", metadata)
    return made


@pytest.fixture
def own_dir(tmp_path: Path) -> Path:
    """A model directory that the test may write into."""
    shutil.copytree(FOLDER / "small", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The engine's lines, whether or not something in this process keeps them from the root logger."""
    logger = logging.getLogger("bert_ft")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(caplog.handler)
    propagates, logger.propagate = logger.propagate, False
    yield caplog
    logger.propagate = propagates
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_vectors_are_the_originals(golden: Golden) -> None:
    batch = pack(features(), mask_special="-mask_cls_sep" in golden.flags)
    engine = OpenvinoEngine.load(options(golden.model_dir, "-engine", "openvino", *golden.flags.split()))
    vectors = engine.run(batch)["encode"]
    assert vectors.dtype == np.float32
    assert vectors.shape[-1] == engine.info()["dim"]
    expected = golden.vectors
    if expected.ndim == 3:
        vectors = unpacked(vectors, batch.lengths, expected.shape[1])
    np.testing.assert_allclose(
        vectors.astype(expected.dtype).astype(np.float32), expected.astype(np.float32), rtol=0, atol=golden.tolerance
    )


@pytest.mark.parametrize("head", ["classification", "tagging"])
@pytest.mark.parametrize("flags", ["", "-pooling_strategy REDUCE_MEAN_MAX -pooling_layer 0 2 0"])
def test_heads_and_layers_are_the_tensorflow_engines(headed: dict[str, Path], head: str, flags: str) -> None:
    given = options(headed[head], "-engine", "openvino", *flags.split())
    engine, reference = OpenvinoEngine.load(given), TensorFlowEngine(given)
    batch = random_batch([5, 60, 3, 17, 3, 64], masked=True)
    expected = reference.run(batch, ALL)
    for outputs in (ALL, frozenset({"head"}), frozenset({"encode"})):
        found = engine.run(batch, outputs)
        assert found.keys() == outputs
        for name in outputs:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)
    for key in ("dim", "head", "labels", "crf_transitions"):
        assert engine.info()[key] == reference.info()[key]


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
def test_gelu_apart_from_its_product_is_the_same(activation: str) -> None:
    """Both forms on this processor, whichever of them the engine takes here."""
    config = BertConfig(68, 32, 2, 4, 64, activation, max_position_embeddings=64, type_vocab_size=2)
    weights = initialize(encoder_shapes(config), 0.3, seed=5)
    inputs = graph_inputs(random_batch([5, 60, 3]))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    together, apart = (
        core().compile_model(encoder_graph(weights, config, True, form), "CPU", settings)(inputs)[0].copy()
        for form in (False, True)
    )
    np.testing.assert_allclose(apart, together, rtol=0, atol=5e-6)
    assert np.abs(together).max() > 1


def test_a_batch_gives_what_each_text_gives_alone() -> None:
    """Also the one whose tokens are all masked. Kernels differ with the size of a batch: 1e-5 is their rounding."""
    engine = OpenvinoEngine.load(options(FOLDER / "small", "-engine", "openvino", "-pooling_strategy", "NONE"))
    lengths = [2, 60, 9, 2, 31, 2]
    batch = random_batch(lengths, masked=True)
    parts = [array for _, _, part in cut_by_length(batch, 1) for array in [part]]
    alone = {len(part.ids): engine.run(part)["encode"] for part in parts}
    together = np.split(engine.run(batch)["encode"], np.cumsum(lengths)[:-1])
    for place in (1, 2, 4):
        np.testing.assert_allclose(together[place], alone[lengths[place]], rtol=0, atol=1e-5)


def test_bf16_is_close(headed: dict[str, Path]) -> None:
    exact = TensorFlowEngine(options(headed["tagging"]))
    engine = OpenvinoEngine.load(options(headed["tagging"], "-engine", "openvino", "-precision", "bf16"))
    batch = random_batch([5, 60, 3, 17])
    assert cosines(engine.run(batch)["encode"], exact.run(batch)["encode"]).min() > 0.999


def test_int8_is_close_and_the_second_start_takes_it_from_the_cache(
    own_dir: Path, log: pytest.LogCaptureFixture
) -> None:
    batch = pack(features())
    exact = TensorFlowEngine(options(own_dir)).run(batch)["encode"]
    first = OpenvinoEngine.load(options(own_dir, "-precision", "int8")).run(batch)["encode"]
    assert not np.array_equal(first, exact)
    assert cosines(first, exact).min() > 0.99
    assert log.text.count("quantising to int8") == 1
    second = OpenvinoEngine.load(options(own_dir, "-precision", "int8", "-pooling_layer", "-1", "-2"))
    np.testing.assert_array_equal(second.run(batch)["encode"][:, first.shape[1] :], first)
    assert log.text.count("quantising to int8") == 1

    reader = CheckpointReader(own_dir / "bert_model.ckpt")
    weights = {name: reader.read(name) for name in reader.shapes}
    weights["bert/embeddings/LayerNorm/beta"] = weights["bert/embeddings/LayerNorm/beta"] + np.float32(1)
    write_variables(own_dir / "bert_model.ckpt", weights)
    changed = TensorFlowEngine(options(own_dir)).run(batch)["encode"]
    third = OpenvinoEngine.load(options(own_dir, "-precision", "int8")).run(batch)["encode"]
    assert cosines(third, changed).min() > 0.99
    assert log.text.count("quantising to int8") == 2
    assert [path.name for path in own_dir.glob("*openvino*")] == [
        "openvino_int8" if this_processor().has_int8_products else "openvino_int8_without_vnni"
    ]


def test_int8_of_a_folder_that_cannot_be_written(
    own_dir: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(openvino_int8, "store", refuse)
    batch = pack(features())
    engine = OpenvinoEngine.load(options(own_dir, "-precision", "int8"))
    exact = TensorFlowEngine(options(own_dir)).run(batch)["encode"]
    assert cosines(engine.run(batch)["encode"], exact).min() > 0.99
    assert "cannot be written (Read-only file system)" in log.text


def test_weights_have_seven_bits_where_eight_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from the quantised graph, whatever processor this is: two products u8 x s8 must fit into 16 bits."""
    texts = calibration_texts(None)[:20]
    largest = []
    for flags in ({"avx2", "avx512_vnni"}, {"avx2"}):
        processor = Processor("", "x86_64", frozenset(flags))
        monkeypatch.setattr(openvino_quantize, "this_processor", lambda processor=processor: processor)
        graph = quantised_graph(options(FOLDER / "small", "-precision", "int8"), texts, True)
        constants = [node.data for node in graph.get_ops() if node.get_type_name() == "Constant"]
        largest.append(max(int(np.abs(data.astype(int)).max()) for data in constants if data.dtype == np.int8))
    assert largest[0] > 120
    assert largest[1] > 60
    assert 2 * 255 * largest[1] < 1 << 15


def test_processors_with_and_without_8_bit_products_keep_a_model_each(
    own_dir: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model directories lie on shared disks: what one kind of machine quantised, the other one does not take."""
    given, directory = options(own_dir, "-precision", "int8"), open_model_directory(own_dir)
    monkeypatch.setattr(openvino_int8, "_quantised", lambda *_: StoredModel(b"<net/>", np.zeros(1, np.uint8)))
    monkeypatch.setattr(openvino_int8, "core", lambda: SimpleNamespace(read_model=lambda xml, weights: xml))
    for flags in ({"avx2", "avx512_vnni"}, {"avx2"}, {"avx2", "avx512_vnni"}, {"avx2"}):
        processor = Processor("", "x86_64", frozenset(flags))
        monkeypatch.setattr(openvino_int8, "this_processor", lambda processor=processor: processor)
        int8_graph(given, directory)
    assert log.text.count("quantising to int8") == 2
    assert sorted(path.name for path in own_dir.glob("openvino*")) == ["openvino_int8", "openvino_int8_without_vnni"]


def test_a_quantisation_that_fails_says_why(own_dir: Path) -> None:
    given = options(own_dir, "-precision", "int8")
    data = own_dir / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(BertFtError, match=r"could not be quantised: .*truncated or damaged"):
        OpenvinoEngine.load(given)
    assert not list(own_dir.glob("*openvino*"))


def test_a_server_on_int8(own_dir: Path, start_server: StartServer) -> None:
    texts = own_dir / "texts.txt"
    texts.write_text("hello world!\na b c\n")
    server = start_server("-engine", "openvino", "-precision", "int8", "-calibration_texts", str(texts), folder=own_dir)
    assert "quantising to int8 with 2 texts" in server.log
    with BertClient(port=server.port, port_out=server.port_out, timeout=60_000) as client:
        vectors = client.encode(["hello world!", "a b c d e f"])
    exact = OpenvinoEngine.load(options(own_dir, "-engine", "openvino")).run(pack(features()[:2]))["encode"]
    assert cosines(vectors, exact).min() > 0.99


def test_the_engine_does_not_import_tensorflow() -> None:
    code = "import sys, bert_ft.engines.openvino.engine; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert tf.__version__  # it is there


ENGINES_COME_AND_GO = """
import os, signal, sys
from bert_ft.engines.openvino.engine import OpenvinoEngine
from tests.engines.test_openvino import options

first, second = (OpenvinoEngine.load(options(sys.argv[1], "-engine", "openvino")) for _ in range(2))
del first
del second
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_finds_its_handler_after_engines_came_and_went(own_dir: Path) -> None:
    command = [sys.executable, "-c", ENGINES_COME_AND_GO, str(own_dir)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_calibration_texts_are_spread_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text("\n\n".join(map(str, range(3 * MAX_TEXTS))))
    assert calibration_texts(str(path)) == [str(3 * place) for place in range(MAX_TEXTS)]
    path.write_text("one\r\n \ntwo")
    assert calibration_texts(str(path)) == ["one", "two"]


def test_the_bundled_sample_is_varied() -> None:
    texts = calibration_texts(None)
    assert len(set(texts)) == len(texts) == MAX_TEXTS
    assert 0.3 < sum(text.isascii() for text in texts) / len(texts) < 0.7


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "has no texts"), (b" \n\n", "has no texts"), (b"\xff\xfe", "UTF-")],
)
def test_calibration_texts_that_cannot_be_used(own_dir: Path, content: bytes | None, message: str) -> None:
    path = own_dir / "texts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BertFtError, match=message) as caught:
        options(own_dir, "-precision", "int8", "-calibration_texts", str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "engine"),
    [
        ("-engine tensorflow", "tensorflow"),
        ("-engine tensorflow -precision bf16", "tensorflow"),
        ("-precision int8", "openvino"),
        ("-engine openvino", "openvino"),
        ("-engine openvino -precision bf16", "openvino"),
    ],
)
def test_an_engine_that_was_named_is_taken(flags: str, engine: str) -> None:
    given = get_args_parser().parse_args(["-model_dir", str(FOLDER / "small"), *flags.split()])
    assert resolve(given).options.engine == engine


def test_tensorflow_has_no_int8() -> None:
    with pytest.raises(BertFtError, match="-engine tensorflow has no -precision int8; leave -engine out"):
        options(FOLDER / "small", "-engine", "tensorflow", "-precision", "int8")


@pytest.mark.parametrize(
    ("flags", "absent", "message"),
    [
        ("-precision int8", {"nncf"}, "-precision int8 needs nncf, which"),
        ("-precision int8", {"nncf", "openvino"}, "-precision int8 needs openvino and nncf, which"),
        ("-engine openvino", {"openvino"}, "-engine openvino needs openvino, which"),
    ],
)
def test_libraries_that_are_not_installed(
    monkeypatch: pytest.MonkeyPatch, flags: str, absent: set[str], message: str
) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name in absent else ModuleSpec(name, None)

    monkeypatch.setattr(selection, "find_spec", find)
    with pytest.raises(BertFtError, match=message) as caught:
        options(FOLDER / "small", *flags.split())
    assert str(caught.value).endswith('pip install "bert-ft[openvino]"')


def test_openvino_without_int8_needs_no_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "find_spec", lambda name: None if name == "nncf" else ModuleSpec(name, None))
    assert options(FOLDER / "small", "-engine", "openvino").precision == "fp32"


def test_a_library_that_cannot_be_imported_is_one_line(
    tmp_path: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    server = start_server("-engine", "openvino", ready=False, folder=FOLDER / "small", anew=True)
    assert server.exit_status(60) == 1
    assert server.log.splitlines()[-1] == (
        "error: the openvino engine cannot be imported: ImportError: libopenvino.so: no such file; install its library "
        "anew, or give another -engine"
    )
    assert "Traceback" not in server.log
