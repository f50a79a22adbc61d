"""What `bert-ft predict` and `bert-ft evaluate-sts` add to their engine: texts a second of each beside it, in turn.

Usage: python -m benchmarks.offline_cost --model_dir TAGGER --texts FILE [--precision bf16] [--engine auto] [--runs 3]

TAGGER has a tagging head, FILE a text a line. In each round: the engine alone gives the head's logits of batches made
ready before (sorted by length), `predict` reads FILE and writes entities as JSON lines, the engine alone gives vectors,
and the encoder of `evaluate-sts` makes them from the texts. One process, one engine for the tags and one for the
vectors, all cores. Prints a Markdown table of medians, and of the ratios of each round.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bert_ft
from benchmarks.common import Rounds, command_line, read_texts
from bert_ft.inference import predict as predicting
from bert_ft.text.packing import pack


def main() -> None:
    options = _options()
    texts = read_texts(options.texts)
    how = {"precision": options.precision, "engine": options.engine}
    encoder, tagger = bert_ft.Encoder(options.model_dir, **how), bert_ft.Tagger(options.model_dir, **how)
    features = sorted(encoder.model.inputs(None).texts(texts), key=lambda one: len(one.ids))
    batches = [pack(features[start : start + 64]) for start in range(0, len(features), 64)]
    predicting.load_predictor = lambda *_: tagger  # type: ignore[assignment]  # the model is loaded already
    rounds = Rounds(".1f")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "texts.txt", Path(folder) / "found.jsonl"
        source.write_text("\n".join(texts), encoding="utf-8")
        rows = {
            "engine, tags": lambda: [tagger.model.head_logits(batch) for batch in batches],
            "predict": lambda: predicting.predict(options.model_dir, str(source), str(target), 64),
            "engine, vectors": lambda: [encoder.model.vectors(batch) for batch in batches],
            "encode": lambda: encoder.encode(texts),
        }
        for run in rows.values():
            _rate(len(texts), run)  # warm
        for _ in range(options.runs):
            for name, run in rows.items():
                rounds.note(f"{name}, texts/s", _rate(len(texts), run))
    print(f"\n{len(texts)} texts, {sum(map(len, (one.ids for one in features)))} pieces, {encoder.model.choice[:2]}\n")
    rounds.print_table()
    for above, below in (("predict", "engine, tags"), ("encode", "engine, vectors")):
        rounds.compare(f"{above} / {below}", f"{above}, texts/s", f"{below}, texts/s")


def _rate(count: int, action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return count / (time.perf_counter() - began)


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "model_dir", "texts")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
