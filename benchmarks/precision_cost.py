"""What a lower precision costs: vectors of our server at each, and their rank correlation with scored pairs.

Usage: python -m benchmarks.precision_cost --model_dir DIR --file PAIRS [--precision fp32 bf16 int8]
           [--pooling_layer -1] [-- FLAGS OF bert-serving-start]

PAIRS is what bert-ft evaluate-sts takes, and the correlations are what it prints. A server is started for each
precision in turn; int8 is quantised anew if the model directory has no quantised model yet. Prints a Markdown table:
Pearson's and Spearman's coefficients of the cosine with the score, times 100, and mean and least cosine of a vector
to the first precision's.
"""

from __future__ import annotations

import numpy as np

from benchmarks.common import command_line, served_vectors
from bert_ft.data.rows import BadRows
from bert_ft.tasks.similarity.evaluate import correlate, cosines
from bert_ft.tasks.similarity.pairs import read_scored_pairs

START_SECONDS = 600


def main() -> None:
    parser = command_line(__doc__, "model_dir", "file")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16", "int8"], default=["fp32", "bf16", "int8"])
    parser.add_argument("--pooling_layer", default="-1")
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args()
    pairs = read_scored_pairs(options.file, BadRows())
    scores = np.array([pair.score for pair in pairs])
    texts = [text for pair in pairs for text in (pair.first, pair.second)]
    print(f"{options.file.name}: {len(pairs)} pairs\n")
    print("| precision | Pearson | Spearman | cosine to the first, mean | least |\n|---|---|---|---|---|")
    first = None
    for precision in options.precision:
        flags = ["-model_dir", str(options.model_dir.resolve()), "-pooling_layer", options.pooling_layer]
        flags += ["-precision", precision, *options.flags]
        vectors = served_vectors(texts, flags, patience=START_SECONDS)
        first = vectors if first is None else first
        found, near = correlate(cosines(vectors[::2], vectors[1::2]), scores), cosines(vectors, first)
        print(
            f"| {precision} | {100 * found.pearson:.2f} | {100 * found.spearman:.2f} | {near.mean():.6f} | "
            f"{near.min():.6f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
