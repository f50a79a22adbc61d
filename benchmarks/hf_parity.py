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

import bert_ft
from bert_ft.checkpoint.huggingface.convert import export_model, import_model

MAX_SEQ_LENGTH = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "torch_python", "texts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    texts = [line for line in options.texts.read_text(encoding="utf-8").split("\n") if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        import_model(options.model, work / "imported")
        export_model(work / "imported", work / "exported")
        different = compare_tensors(options.model, work / "exported")
        encoder = bert_ft.Encoder(
            work / "imported", pooling_layer=(-1,), max_seq_length=MAX_SEQ_LENGTH, engine="tensorflow"
        )
        ours = encoder.encode(texts, split_pairs=False)
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
    bits = {name: (value.shape, value.tobytes()) for name, value in before.items()}
    same = sum(bits.get(name) == (value.shape, value.tobytes()) for name, value in after.items())
    print(f"{same} of {len(after)} tensors bit for bit; only in the given folder: {sorted(set(before) - set(after))}")
    return len(after) - same


def torch_vectors(python: Path, folder: Path, work: Path) -> np.ndarray:
    script = Path(__file__).with_name("hf_vectors.py")
    subprocess.run([python, script, folder, work / "texts.txt", work / "vectors.npy"], check=True)
    return np.load(work / "vectors.npy")


if __name__ == "__main__":
    sys.exit(main())
