"""What a classifier must beat on label TAB text files: the majority class, and TF-IDF with logistic regression.

Usage: python benchmarks/emotion_baselines.py DATA_DIR [OUTPUT_DIR]

DATA_DIR has train.tsv, dev.tsv and test.tsv; OUTPUT_DIR, written by bert-ft-train, adds the scores in its metrics.json.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline


def read(path: Path) -> tuple[list[str], list[str]]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [row[1] for row in rows], [row[0] for row in rows]


def main() -> None:
    data = Path(sys.argv[1])
    texts, labels = read(data / "train.tsv")
    majority = Counter(labels).most_common(1)[0][0]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    ).fit(texts, labels)
    for split in ("dev", "test"):
        split_texts, expected = read(data / f"{split}.tsv")
        for name, predicted in (
            (f"majority class ({majority})", [majority] * len(expected)),
            ("TF-IDF of characters 1-3 + logistic regression", model.predict(split_texts)),
        ):
            f1 = f1_score(expected, predicted, average="macro", zero_division=0)
            print(f"{split:<4} {name:<50} accuracy {accuracy_score(expected, predicted):.4f} macro F1 {f1:.4f}")
        if len(sys.argv) > 2:
            ours = json.loads((Path(sys.argv[2]) / "metrics.json").read_text(encoding="utf-8"))[split]
            print(f"{split:<4} {sys.argv[2]:<50} accuracy {ours['accuracy']:.4f} macro F1 {ours['macro_f1']:.4f}")


if __name__ == "__main__":
    main()
