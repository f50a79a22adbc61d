"""The original bert-serving-server 1.10.0 and ours on one model directory: the same vectors, through our client.

Usage: python benchmarks/original_server_parity.py --legacy DIR --model_dir DIR [--texts FILE]

--legacy is an environment with the original server (bin/bert-serving-start) on Python 3.7 and TensorFlow 1.15. FILE has
a text a line, or label TAB text. For every pooling strategy that the original has, prints the largest absolute
difference; exit status 1 if one is above 1e-5. Last, TensorFlow 1.15 restores the directory through its .meta.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from common import ROOT, command_line, served_vectors

FLAGS = [
    "-pooling_strategy NONE",
    "-pooling_strategy NONE -max_seq_len NONE",
    "-pooling_strategy NONE -mask_cls_sep",
    "-pooling_strategy REDUCE_MAX",
    "-pooling_strategy REDUCE_MEAN",
    "-pooling_strategy REDUCE_MEAN -mask_cls_sep",
    "-pooling_strategy REDUCE_MEAN -pooling_layer -1 -2",
    "-pooling_strategy REDUCE_MEAN -no_position_embeddings",
    "-pooling_strategy REDUCE_MEAN_MAX",
    "-pooling_strategy CLS_TOKEN",
    "-pooling_strategy SEP_TOKEN",
    "-pooling_strategy SEP_TOKEN -mask_cls_sep",
    "-pooling_strategy CLS_POOLED",
]


def main() -> int:
    parser = command_line(__doc__, "legacy", "model_dir")
    parser.add_argument("--texts", type=Path, default=ROOT / "data" / "fine_tuning_val_data.tsv")
    arguments = parser.parse_args()
    texts = [line.split("\t")[-1] for line in arguments.texts.read_text(encoding="utf-8").splitlines()][:64]
    texts += [f"{a} ||| {b}" for a, b in zip(texts[:8], texts[8:16], strict=True)]
    programs, worst = arguments.legacy.resolve() / "bin", 0.0
    for flags in FLAGS:
        line = ["-model_dir", str(arguments.model_dir.resolve()), "-max_seq_len", "32", *flags.split()]
        original = served_vectors(texts, [*line, "-cpu"], command=[str(programs / "bert-serving-start")])
        ours = served_vectors(texts, line)
        difference = float(np.abs(original - ours).max()) if original.shape == ours.shape else float("inf")
        worst = max(worst, difference)
        print(f"{flags:<56} {original.shape!s:<14} largest difference {difference:.1e}", flush=True)
    script = ROOT / "benchmarks" / "legacy" / "restore_meta.py"
    restored = subprocess.run([programs / "python", script, arguments.model_dir], stderr=subprocess.DEVNULL).returncode
    return int(worst > 1e-5 or restored != 0)


if __name__ == "__main__":
    sys.exit(main())
