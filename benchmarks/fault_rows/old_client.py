"""A bert-serving-client 1.10.0 in a process of its own: a line of JSON in, a line of JSON out.

Usage: python old_client.py CLIENT_FOLDER PORT PORT_OUT
A line is {"texts": anything, "is_tokenized": bool, "timeout": ms}.
"""

import json
import sys
import warnings

import bert_serving.client

assert bert_serving.client.__file__.startswith(sys.argv[1]), bert_serving.client.__file__
warnings.simplefilter("ignore")


def main() -> None:
    client = bert_serving.client.BertClient(port=int(sys.argv[2]), port_out=int(sys.argv[3]), timeout=60_000)
    for line in sys.stdin:
        asked = json.loads(line)
        client.timeout = asked.get("timeout", 60_000)
        try:
            found = client.encode(asked["texts"], is_tokenized=asked.get("is_tokenized", False))
            answer = {"shape": list(found.shape), "first": found[0].tolist(), "last": found[-1].tolist()}
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)[:300]}
        print(json.dumps(answer), flush=True)
    client.close()


main()
