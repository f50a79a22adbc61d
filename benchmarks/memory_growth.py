"""Memory of our server as it encodes more and more sentences, in requests of mixed sizes.

Usage: python -m benchmarks.memory_growth --model_dir DIR --texts FILE [--precision bf16] [--sentences 100000]

FILE has a text a line. The first 10,000 sentences are whole, the others their first 2 to 20 characters, which makes
more different batches in less time. Prints the sum of the proportional set sizes of the server's processes, MB. Needs
Linux.
"""

from __future__ import annotations

import random

from benchmarks.common import LONG_MS, Server, command_line, read_texts

WHOLE = 10_000


def main() -> None:
    parser = command_line(__doc__, "model_dir", "texts")
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="bf16")
    parser.add_argument("--sentences", type=int, default=100_000)
    options = parser.parse_args()
    texts, chosen, sent = read_texts(options.texts), random.Random(1), 0
    flags = ["-model_dir", str(options.model_dir.resolve()), "-precision", options.precision]
    with Server(flags) as server, server.client(LONG_MS) as client:
        print(f"at start: {server.memory_mb():.0f} MB", flush=True)
        while sent < options.sentences:
            request = [chosen.choice(texts) for _ in range(chosen.choice([1, 7, 64, 500]))]
            if sent >= WHOLE:
                request = [text[: chosen.randint(2, 20)] for text in request]
            client.encode(request)
            before, sent = sent, sent + len(request)
            if sent // WHOLE != before // WHOLE:
                print(f"after {sent} sentences: {server.memory_mb():.0f} MB", flush=True)


if __name__ == "__main__":
    main()
