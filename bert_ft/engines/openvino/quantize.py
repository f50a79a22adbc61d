"""Quantises an encoder after training (``python -m``): a job as a line of JSON comes in, the model goes out.

Kept apart from the worker for its memory, and because nncf writes to standard output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_ft.checkpoint.directory import load_fitting_vocab, open_model_directory
from bert_ft.checkpoint.reader import CheckpointReader
from bert_ft.checkpoint.variables import encoder_shapes, pooler_shapes
from bert_ft.engines.base import EngineOptions
from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import Processor, this_processor
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer

if TYPE_CHECKING:
    import openvino as ov


class Recipe(NamedTuple):
    """How a model is quantised; part of the cache's key. Alpha and shares were chosen by vectors of a trained model.

    Attributes:
        weight_bits: 8, or 7 where full 8-bit products saturate.
        smooth_quant_alpha: of SmoothQuant.
        float_outputs: share of the feed-forward outputs that stay in floating point.
        max_pieces: a calibration text is cut to.
        places: of a batch of calibration texts.
    """

    weight_bits: int
    smooth_quant_alpha: float = 0.7
    float_outputs: float = 0.25
    max_pieces: int = 128
    places: int = 512


def recipe_for(processor: Processor) -> Recipe:
    """Without VNNI two 8-bit products are added in 16 bits, where they saturate: there weights have 7 bits.

    What is lost with the eighth is won back by twice as many outputs in floating point (docs/performance.md).
    """
    return Recipe(8) if processor.has_int8_products else Recipe(7, float_outputs=0.5)


def main() -> None:
    try:
        _answer()
        status = 0
    except BertFtError as error:
        print(error, file=sys.stderr)
        status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)  # OpenVINO's own end can hang while the other thread ends


def _answer() -> None:
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.loads(sys.stdin.buffer.readline())
    with tempfile.TemporaryDirectory(prefix="bert-ft-int8-") as folder:
        threading.Thread(target=_exit_with_parent, args=(Path(folder),), daemon=True).start()
        model = quantised_graph(EngineOptions.from_json(job["options"]), job["texts"], job["lower_case"])
        parts = _saved(model, Path(folder))
    with os.fdopen(output, "wb") as pipe:
        for part in (*(len(part).to_bytes(8, "little") for part in parts), *parts):
            pipe.write(part)


def quantised_graph(options: EngineOptions, texts: list[str], lower_case: bool) -> ov.Model:
    """The whole encoder with int8 weights and int8 inputs of its dense layers, ranges measured on ``texts``.

    Weights have a scale for each output and 8 bits, or 7 (:func:`recipe_for`); inputs have one scale and zero point for
    each layer; SmoothQuant (Xiao et al. 2022, arXiv:2211.10438) moves outliers of the inputs into the weights.
    Embeddings, attention's own products, LayerNorm and the most sensitive of the feed-forward outputs stay in floating
    point.
    """
    os.environ["NNCF_CI"] = "1"  # otherwise nncf reports its use to its makers
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters

    from bert_ft.engines.openvino.graph import embedding_names, encoder_graph
    from bert_ft.engines.openvino.inputs import graph_inputs
    from bert_ft.engines.openvino.sensitivity import sensitive_outputs
    from bert_ft.engines.parts import cut_by_length

    recipe = recipe_for(this_processor())
    directory = open_model_directory(options.model_dir, options.ckpt_name, options.config_name, options.tuned_model_dir)
    shapes = encoder_shapes(directory.config)
    for name in pooler_shapes(directory.config):
        del shapes[name]
    weights = CheckpointReader(directory.checkpoint).load(shapes)
    graph = encoder_graph(weights, directory.config, not options.no_position_embeddings)
    tokenizer = FullTokenizer(load_fitting_vocab(directory.vocab_file, directory.config), lower_case)
    pieces = min(recipe.max_pieces, directory.config.max_position_embeddings)
    batch = pack(InputBuilder(tokenizer, pieces).texts(texts))
    data = [graph_inputs(part) for _, _, part in cut_by_length(batch, recipe.places)]
    alpha = recipe.smooth_quant_alpha
    kept = sensitive_outputs(graph, data[len(data) // 2], alpha, recipe.float_outputs)
    return nncf.quantize(
        graph,
        nncf.Dataset(data),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(data),
        ignored_scope=nncf.IgnoredScope(names=embedding_names(graph) + kept, types=["ScaledDotProductAttention"]),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE if recipe.weight_bits == 7 else nncf.OverflowFix.DISABLE,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=alpha),
        ),
    )


def _saved(model: ov.Model, folder: Path) -> tuple[bytes, Any]:
    import numpy as np
    import openvino as ov

    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return (folder / "model.xml").read_bytes(), np.fromfile(folder / "model.bin", np.uint8)


def _exit_with_parent(folder: Path) -> None:
    while os.read(sys.stdin.fileno(), 1 << 10):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()
