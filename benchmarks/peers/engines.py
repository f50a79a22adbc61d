"""Our engine beside torch, ONNX Runtime and OpenVINO: the same weights, the same tokens, turn by turn.

Usage: python -m benchmarks.peers.engines --model_dir DIR --texts FILE --envs DIR
           [--peers torch openvino onnxruntime] [--precision fp32 bf16 int8] [--our_engine openvino]
           [--json OUT.json]

"ours" is the engine that -engine auto takes on this machine, "ours-tensorflow" the other one. OpenVINO has two rows:
one request after the other, and a stream for each core, as many requests at once.

Every engine is a process of its own; all are loaded before the first is measured, and only one works at a time. All
compute the mean of the last layer for the same tokens; tokenizing is not in the time. Peers get padded batches of
texts sorted by length, ours packed batches cut at a number of tokens. Each engine's batch sizes are tried once, which
warms it up too, and the best two of them stay for the rounds that count: in a round every engine has its turn, after
a second of the matrix product that is the roof: its best rate, and its median.

Printed: the median, least and most tokens/s of the best size; its share of both (products with weights count,
attention's do not); ours divided by it in the same precision, median of the rounds; and how far its vectors are from
ours in fp32. The peers' environments are made in --envs if they are not there; ours is that of this interpreter. Exit
status 1 if an engine could not be run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bert_serving.benchmark.peak import flop_per_token
from bert_serving.server.options import ServerOptions

from benchmarks.common import command_line, read_texts
from benchmarks.peers.engine_table import Measured, Roof, markdown
from benchmarks.peers.environments import python_of
from benchmarks.peers.worker_process import WORKERS, WorkerError, WorkerProcess
from bert_ft import ModelDirectory
from bert_ft.engines.selection import select
from bert_ft.hardware.choice import AUTO
from bert_ft.hardware.processor import this_processor, usable_cores
from bert_ft.text.inputs import InputBuilder

PRECISIONS = {
    "tensorflow": ("fp32", "bf16"),
    "torch": ("fp32", "bf16"),
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
}
PAUSE = 0.3
"""Seconds before each turn, for the threads of the one before to fall asleep."""


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        specification = _specification(options, work)
        workers, failed = _start(options, specification)
        roofs = _roofs(options)
        for worker in [*workers, *(roof.worker for roof in roofs)]:
            stack.callback(worker.close)
        reference = _reference(specification, work)
        engines = [Measured(worker) for worker in workers]
        for engine in engines:
            engine.scout(PAUSE)
            engine.compare(reference, work / "vectors.npy")
        for _ in range(options.runs):
            for turn in [one.turn for one in roofs] + [one.turn for one in engines]:
                time.sleep(PAUSE)
                turn()
    result = {
        "model_dir": str(options.model_dir), "texts": len(specification["lengths"]), "tokens": specification["count"],
        "mean_length": float(np.mean(specification["lengths"])), "threads": options.threads, "runs": options.runs,
        "roofs_gflops": {roof.precision: roof.rates for roof in roofs},
        "engines": [engine.record(specification["count"], specification["flops"], roofs) for engine in engines],
        "failed": failed,
    }  # fmt: skip
    processor = this_processor()
    print(f"{processor.name}: {processor.kind}, {options.threads} of {usable_cores()} cores\n\n{markdown(result)}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(bool(failed))


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "model_dir")
    parser.add_argument("--texts", type=Path, required=True, help="a text a line, or label TAB text")
    parser.add_argument("--envs", type=Path, required=True, help="folder of the peers' environments")
    parser.add_argument("--peers", nargs="*", choices=["torch", "onnxruntime", "openvino"], default=["torch"])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16", "int8"], default=["fp32", "bf16"])
    parser.add_argument("--our_engine", choices=["tensorflow", "openvino"], help="instead of what -engine auto takes")
    parser.add_argument("--count", type=int, default=256, help="texts, taken evenly from the file")
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--batch_sizes", nargs="+", default=["4", "8", "16", "32"], help="texts of a peer's batch")
    parser.add_argument("--batch_tokens", nargs="+", default=["512", "2048", "4096", "all"], help="of ours")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _specification(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What all workers are told."""
    model = ModelDirectory.open(options.model_dir)
    builder = InputBuilder(model.tokenizer(), options.max_seq_length)
    inputs = builder.pairs([(text, None) for text in read_texts(options.texts, options.count)])
    lengths = [len(one.ids) for one in inputs]
    np.savez(work / "t.npz", ids=np.concatenate([np.array(one.ids, np.int32) for one in inputs]), lengths=lengths)
    specification: dict[str, Any] = {
        "model_dir": str(options.model_dir.resolve()), "tokens": str(work / "t.npz"), "count": sum(lengths),
        "lengths": lengths, "threads": options.threads,
        "flops": flop_per_token(model.config, ServerOptions(str(options.model_dir), pooling_layer=(-1,))),
        "hidden": model.config.hidden_size, "heads": model.config.num_attention_heads,
        "huggingface": str(work / "huggingface"), "onnx": str(work / "model.onnx"),
    }  # fmt: skip
    if options.peers:
        from bert_ft.checkpoint.huggingface.convert import export_model  # imports TensorFlow: seconds

        torch_python = python_of("torch", options.envs)
        export_model(options.model_dir, work / "huggingface")
        if set(options.peers) - {"torch"}:
            _export_onnx(torch_python, specification)
    return specification


def _export_onnx(torch_python: Path, specification: dict[str, Any]) -> None:
    command = [str(torch_python), str(WORKERS / "export_onnx.py"), specification["huggingface"], specification["onnx"]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"export to ONNX failed:\n{done.stderr[-2000:]}")


def _start(options: argparse.Namespace, common: dict[str, Any]) -> tuple[list[WorkerProcess], dict[str, str]]:
    """The workers that came up, ours first, and why the others did not."""
    started, failed = [], {}
    pythons = {peer: python_of(peer, options.envs) for peer in options.peers}
    for precision in options.precision:
        ours = options.our_engine or select(AUTO, precision, gpu=False).engine
        other = [] if options.our_engine or ours == "tensorflow" else ["ours-tensorflow"]
        for peer in ("ours", *other, *options.peers):
            engine = ours if peer == "ours" else peer.removeprefix("ours-")
            if precision not in PRECISIONS[engine]:
                continue
            script = "ours.py" if peer.startswith("ours") else f"{peer}_bert.py"
            for name, sizes in _rows(options, peer):
                own = {"precision": precision, "engine": engine, "sizes": sizes}
                try:
                    python = pythons.get(peer, sys.executable)
                    started.append(WorkerProcess(f"{name} {precision}", python, script, common | own))
                except WorkerError as error:
                    failed[f"{name} {precision}"] = str(error)
                    print(f"{name} {precision} is left out: {error}", file=sys.stderr, flush=True)
    return started, failed


def _rows(options: argparse.Namespace, peer: str) -> list[tuple[str, list[str]]]:
    """The rows of the table that a peer has, and the batch sizes of each."""
    if peer.startswith("ours"):
        return [(peer, options.batch_tokens)]
    rows = [(peer, options.batch_sizes)]
    if peer == "openvino":
        rows.append(("openvino-async", [f"{size} async" for size in options.batch_sizes]))
    return rows


def _roofs(options: argparse.Namespace) -> list[Roof]:
    roofs = []
    for precision in [one for one in options.precision if one != "int8"]:
        told = {"threads": options.threads, "precision": precision}
        roofs.append(Roof(precision, WorkerProcess(f"roof {precision}", sys.executable, "roof.py", told)))
    return roofs


def _reference(specification: dict[str, Any], work: Path) -> np.ndarray:
    """Our vectors in fp32, whatever is measured."""
    told = specification | {"precision": "fp32", "engine": "tensorflow", "sizes": ["1024"]}
    with contextlib.closing(WorkerProcess("reference", sys.executable, "ours.py", told)) as worker:
        worker.ask(vectors="1024", into=str(work / "reference.npy"))
    return np.load(work / "reference.npy")


if __name__ == "__main__":
    sys.exit(main())
