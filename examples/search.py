"""The lines of a file that are nearest to a question, asked of a running server:

bert-serving-start -model_dir MODEL_DIR
python examples/search.py texts.txt "什么时候能到货" [PORT PORT_OUT]
"""

import sys
from pathlib import Path

import numpy as np
from bert_serving.client import BertClient

source, question, *ports = sys.argv[1:]
port, port_out = map(int, ports or ("5555", "5556"))
texts = Path(source).read_text(encoding="utf-8").splitlines()
with BertClient(port=port, port_out=port_out) as client:
    vectors = client.encode([*texts, question])
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
cosines = vectors[:-1] @ vectors[-1]
for place in np.argsort(-cosines)[:5]:
    print(f"{cosines[place]:.3f}  {texts[place]}")
