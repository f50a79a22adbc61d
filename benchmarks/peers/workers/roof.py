"""The roof: a large matrix product by TensorFlow, again and again for a second at each line of standard input.

Answers ``{"best": …, "median": …}``, GFLOP/s.

The shapes are those of a BERT-base's feed-forward layer over many tokens, where oneDNN is at its best.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from bert_ft.model.backend import tf, use_machine

TOKENS, HIDDEN, INNER = 4096, 768, 3072
SECONDS = 1.0


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    use_machine(spec["threads"], 1, gpu=False)
    dtype = {"fp32": tf.float32, "bf16": tf.bfloat16}[spec["precision"]]
    with tf.device("CPU"):
        x = tf.cast(tf.random.normal([TOKENS, HIDDEN]), dtype)
        kernel = tf.cast(tf.random.normal([HIDDEN, INNER]), dtype)
    tf.matmul(x, kernel)
    print(json.dumps({"ready": f"TensorFlow {tf.__version__}"}), flush=True)
    for _ in sys.stdin:
        end, rates = time.monotonic() + SECONDS, []
        while time.monotonic() < end:
            rates.append(2e-9 * TOKENS * HIDDEN * INNER / _seconds(x, kernel))
        print(json.dumps({"best": max(rates), "median": statistics.median(rates)}), flush=True)


def _seconds(x: tf.Tensor, kernel: tf.Tensor) -> float:
    began = time.perf_counter()
    tf.matmul(x, kernel)
    return time.perf_counter() - began


main()
