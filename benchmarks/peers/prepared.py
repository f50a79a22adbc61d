"""What peers are given: the same weights and the same tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.peers.worker_process import WORKERS
from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab


class Tokens(NamedTuple):
    """The file that workers read, how many tokens it has, and of how many each text is."""

    path: Path
    total: int
    lengths: np.ndarray


def read_texts(path: Path, count: int | None = None) -> list[str]:
    """A text a line, or label TAB text; evenly spread over the file when it has more than ``count``."""
    lines = path.read_text(encoding="utf-8").split("\n")
    texts = [text for line in lines if (text := line.split("\t")[-1].strip())]
    if count is None or len(texts) <= count:
        return texts
    return [texts[index * len(texts) // count] for index in range(count)]


def tokenize(model_dir: Path, texts: list[str], max_seq_length: int, target: Path) -> Tokens:
    builder = input_builder(model_dir, max_seq_length)
    ids = [np.array(one.ids, np.int32) for one in builder.pairs([(text, None) for text in texts])]
    lengths = np.array([len(one) for one in ids], np.int32)
    np.savez(target, ids=np.concatenate(ids), lengths=lengths)
    return Tokens(target, int(lengths.sum()), lengths)


def input_builder(model_dir: Path, max_seq_length: int | None = None) -> InputBuilder:
    """Of the model's vocabulary and casing, up to its own maximum unless another is given."""
    opened = open_model_directory(model_dir)
    lower_case = opened.metadata.do_lower_case if opened.metadata else True
    length = max_seq_length or opened.config.max_position_embeddings
    return InputBuilder(FullTokenizer(Vocab.load(opened.vocab_file), lower_case), length)


def flops_per_token(config: BertConfig) -> float:
    """Of the encoder's matrix products with weights, two for a multiplication and an addition; attention's left out."""
    hidden, inner = config.hidden_size, config.intermediate_size
    return 2.0 * config.num_hidden_layers * (4 * hidden * hidden + 2 * hidden * inner)


def export_huggingface(model_dir: Path, target: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "bert_ft.commands.main", "export-hf", str(model_dir), str(target)], check=True
    )
    return target


def export_onnx(torch_python: Path, huggingface: Path, target: Path) -> Path:
    command = [torch_python, WORKERS / "export_onnx.py", huggingface, target]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode or not target.exists():
        sys.exit(f"export to ONNX failed:\n{done.stderr[-2000:]}")
    return target
