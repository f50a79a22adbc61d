"""The processor's roof: a large matrix product in TensorFlow, and what it means in tokens a second for a model.

As a program, ``python -m bert_serving.benchmark.peak PRECISION THREADS``, it prints GFLOP/s: TensorFlow is then
in memory for the measurement only, and takes no part of the server's.
"""

from __future__ import annotations

import subprocess
import sys
import time

from bert_serving.server.options import ServerOptions

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_shapes
from bert_ft.errors import BertFtError

SIZE = 2048
SECONDS = 1.5
_PATIENCE_SECONDS = 120


def roof_precision(precision: str) -> str:
    """What the roof is measured in: bf16 for int8, of which TensorFlow has no product; shares may then pass 100 %."""
    return "bf16" if precision == "int8" else precision


def flop_per_token(config: BertConfig, options: ServerOptions) -> int:
    """2 for each weight of the products of the layers that vectors are computed from.

    Left out are the products inside attention, which grow with the length of the text (for 12 x 768, 1 % at 32
    pieces and 11 % at 512), and everything that is no product.
    """
    depth = max(options.pooling_strategy.layers(options.pooling_layer, config.num_hidden_layers)) + 1
    return sum(
        2 * shape[0] * shape[1] for name, shape in layer_shapes(config, depth).items() if name.endswith("/kernel")
    )


def measure_roof(precision: str, threads: int) -> float:
    """GFLOP/s, in a process of its own.

    Raises:
        BertFtError: TensorFlow did not run there.
    """
    command = [sys.executable, "-m", __name__, roof_precision(precision), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
        return float(done.stdout)
    except subprocess.TimeoutExpired:
        fault = f"no answer within {_PATIENCE_SECONDS} s"
    except ValueError:
        fault = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    raise BertFtError(f"the processor's roof could not be measured ({fault}); -no_roof goes without")


def product_rate(precision: str, size: int = SIZE, seconds: float = SECONDS) -> float:
    """GFLOP/s of the best of the products [size, size] x [size, size] that fit in the time, after the first."""
    from bert_ft.model.backend import tf

    kind = tf.bfloat16 if precision == "bf16" else tf.float32
    left, right = (tf.cast(tf.random.normal([size, size], seed=seed), kind) for seed in (1, 2))
    best, end = float("inf"), None
    while end is None or time.monotonic() < end:
        began = time.perf_counter()
        tf.matmul(left, right)[0, 0].numpy()  # a value, for nothing less says that it is done
        if end is None:
            end = time.monotonic() + seconds
        else:
            best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def main(precision: str, threads: int) -> None:
    from bert_ft.model.backend import use_machine

    use_machine(threads, 1, gpu=False)
    print(product_rate(precision))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
