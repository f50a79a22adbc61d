"""The encoder in int8: from the cache in the model directory, or quantised now, in a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
import openvino as ov

from bert_ft.checkpoint.directory import ModelDirectory, data_files, sha256
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.openvino.cache import StoredModel, load_stored, store
from bert_ft.engines.openvino.calibration import calibration_texts
from bert_ft.engines.openvino.core import core
from bert_ft.engines.openvino.graph import GRAPH_VERSION
from bert_ft.engines.openvino.quantize import Recipe, recipe_for
from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import this_processor

logger = logging.getLogger("bert_ft.ENGINE")

CACHE_FOLDERS = {8: "openvino_int8", 7: "openvino_int8_without_vnni"}
"""By bits of the weights: machines of both kinds may share a model directory."""


def int8_graph(options: EngineOptions, directory: ModelDirectory) -> ov.Model:
    """All layers, quantised; the names of :func:`openvino_graph.encoder_graph` are kept.

    The cache lies beside the checkpoint; processors with and without 8-bit products have one each. Workers that start
    together take turns: the first one quantises.

    Raises:
        BertFtError: the calibration texts cannot be read, or the quantisation failed.
    """
    texts = calibration_texts(options.calibration_texts)
    recipe = recipe_for(this_processor())
    folder = Path(options.cache_dir or directory.checkpoint.parent) / CACHE_FOLDERS[recipe.weight_bits]
    with _turn(folder.parent):
        key = _key(options, directory, texts, recipe)
        stored = load_stored(folder, key)
        if stored is None:
            logger.info("quantising to int8 with %d texts; the next start takes the result from %s", len(texts), folder)
            begin = time.monotonic()
            stored = _quantised(options, texts)
            logger.info("quantised in %.0f s", time.monotonic() - begin)
            if _key(options, directory, texts, recipe) != key:
                raise BertFtError(f"{directory.checkpoint}: was changed while it was read; start again")
            try:
                store(folder, key, stored)
            except OSError as error:
                logger.warning("%s cannot be written (%s): the next start quantises again", folder, error.strerror)
    return core().read_model(stored.xml, ov.Tensor(stored.weights))


def _key(options: EngineOptions, directory: ModelDirectory, texts: list[str], recipe: Recipe) -> dict[str, Any]:
    """Everything that the quantised model depends on."""
    prefix = directory.checkpoint
    checkpoint = [prefix.with_name(f"{prefix.name}.index"), *data_files(prefix)]
    return {
        "checkpoint": {path.name: sha256(path) for path in checkpoint},
        "config": asdict(directory.config),
        "vocabulary": sha256(directory.vocab_file),
        "lower_case": options.do_lower_case,
        "position_embeddings": not options.no_position_embeddings,
        "calibration_texts": hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest(),
        "graph": GRAPH_VERSION,
        "recipe": recipe._asdict(),
        "openvino": ov.__version__,
        "nncf": version("nncf"),
    }


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Hold a folder, once no other process does; the system lets go of it when the process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: each worker quantises for itself
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _quantised(options: EngineOptions, texts: list[str]) -> StoredModel:
    """In another process: what quantisation leaves in memory goes with it, and so do the libraries it needs."""
    job = {"options": options.to_json(), "texts": texts, "lower_case": options.do_lower_case}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bert_ft.engines.openvino.quantize"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()  # and left open: its end tells the other process that this one is gone
            model = _received(process.stdout)
            process.wait()
        if process.returncode or model is None:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            reason = "its process was killed" if process.returncode < 0 else lines[-1] if lines else "no reason given"
            raise BertFtError(f"-precision int8: the model could not be quantised: {reason}")
    return model


def _received(pipe: IO[bytes]) -> StoredModel | None:
    """Two sizes of 8 bytes, then the graph and the weights."""
    sizes = pipe.read(16)
    if len(sizes) < 16:
        return None
    xml_size, weights_size = (int.from_bytes(sizes[at : at + 8], "little") for at in (0, 8))
    xml = pipe.read(xml_size)
    weights = np.empty(weights_size, np.uint8)
    whole = len(xml) == xml_size and pipe.readinto(weights.data) == weights_size  # type: ignore[attr-defined]
    return StoredModel(xml, weights) if whole else None
