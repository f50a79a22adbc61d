"""A server inside a program, asked over ZeroMQ and HTTP:

python examples/serve_in_python.py MODEL_DIR [PORT PORT_OUT HTTP_PORT]
"""

import json
import sys
from urllib.request import Request, urlopen

from bert_serving.client import BertClient
from bert_serving.server import BertServer
from bert_serving.server.helper import get_args_parser

model_dir, *ports = sys.argv[1:]
port, port_out, http_port = ports or ("5555", "5556", "8125")
flags = ["-model_dir", model_dir, "-port", port, "-port_out", port_out, "-http_port", http_port]

if __name__ == "__main__":
    with BertServer(get_args_parser().parse_args(flags)):
        with BertClient(port=int(port), port_out=int(port_out)) as client:
            print("over ZeroMQ:", client.encode(["今天真开心"]).shape)
        body = json.dumps({"id": 1, "texts": ["今天真开心"]}).encode()
        with urlopen(Request(f"http://127.0.0.1:{http_port}/encode", body)) as reply:
            print("over HTTP:", len(json.load(reply)["result"][0]), "values")
