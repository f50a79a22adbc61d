"""A Hugging Face BERT through import-hf and export-hf: the same bits, and the same vectors as transformers.

Usage: python benchmarks/hf_parity.py --model DIR --torch_python PYTHON --texts FILE

DIR holds a Hugging Face BERT with safetensors; PYTHON is the interpreter of an environment with torch and
transformers; FILE has a text a line. Prints how many tensors came back bit for bit and the largest absolute difference
of the mean-pooled last layer (128 pieces); exit status 1 if a tensor differs or a difference is above 1e-5.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.huggingface.convert import export_model, import_model
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.tensorflow import TensorFlowEngine
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab

MAX_SEQ_LENGTH = 128
BATCH = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--torch_python", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    options = parser.parse_args()
    texts = [line for line in options.texts.read_text(encoding="utf-8").split("\n") if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        import_model(options.model, work / "imported")
        export_model(work / "imported", work / "exported")
        different = compare_tensors(options.model, work / "exported")
        ours = our_vectors(work / "imported", texts)
        (work / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
        worst = 0.0
        for name, source in (("as given", options.model), ("as exported", work / "exported")):
            theirs = torch_vectors(options.torch_python, source, work)
            difference = float(np.abs(ours - theirs).max())
            print(f"{len(texts)} texts, transformers on the folder {name}: largest difference {difference:.2e}")
            worst = max(worst, difference)
    return int(different > 0 or worst > 1e-5)


def compare_tensors(given: Path, exported: Path) -> int:
    """How many of the exported tensors are not the given ones bit for bit."""
    before, after = load_file(given / "model.safetensors"), load_file(exported / "model.safetensors")
    same = [
        name
        for name, value in after.items()
        if name in before and value.shape == before[name].shape and value.tobytes() == before[name].tobytes()
    ]
    print(
        f"{len(same)} of {len(after)} tensors bit for bit; only in the given folder: {sorted(set(before) - set(after))}"
    )
    return len(after) - len(same)


def our_vectors(model_dir: Path, texts: list[str]) -> np.ndarray:
    opened = open_model_directory(model_dir)
    assert opened.metadata is not None
    tokenizer = FullTokenizer(Vocab.load(opened.vocab_file), opened.metadata.do_lower_case)
    engine = TensorFlowEngine(EngineOptions(str(model_dir), pooling_strategy="REDUCE_MEAN", pooling_layer=[-1]))
    features = InputBuilder(tokenizer, MAX_SEQ_LENGTH).pairs([(text, None) for text in texts])
    batches = [pack(features[start : start + BATCH]) for start in range(0, len(features), BATCH)]
    return np.concatenate([engine.run(batch)["encode"] for batch in batches])


def torch_vectors(python: Path, folder: Path, work: Path) -> np.ndarray:
    script = Path(__file__).with_name("hf_vectors.py")
    command = [python, script, folder, work / "texts.txt", work / "vectors.npy"]
    subprocess.run([str(part) for part in command], check=True)
    return np.load(work / "vectors.npy")


if __name__ == "__main__":
    sys.exit(main())
