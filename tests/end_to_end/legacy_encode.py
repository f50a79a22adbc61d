"""Runs in a process of its own, with the folder of the unmodified bert-serving-client 1.10.0 first on the path.

Usage: python legacy_encode.py CLIENT_FOLDER PORT PORT_OUT RESULT.npz. Reads JSON from standard input: a list of texts.
"""

import json
import sys

import bert_serving.client
import numpy as np


def main() -> None:
    folder, port, port_out, result = sys.argv[1:]
    assert bert_serving.client.__file__.startswith(folder), bert_serving.client.__file__
    assert bert_serving.client.__version__ == "1.10.0"
    texts = json.load(sys.stdin)
    with bert_serving.client.BertClient(port=int(port), port_out=int(port_out), timeout=30_000) as client:
        vectors = client.encode(texts)
        status = client.server_status
    np.savez(result, vectors=vectors, requests=status["statistic"]["num_data_request"])


if __name__ == "__main__":
    main()
