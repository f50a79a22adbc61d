"""Vectors of a file's lines, saved for numpy: python examples/encode_a_file.py MODEL_DIR texts.txt vectors.npy"""

import sys
from pathlib import Path

import numpy as np

import bert_ft

model_dir, source, target = sys.argv[1:]
texts = Path(source).read_text(encoding="utf-8").splitlines()
vectors = bert_ft.Encoder(model_dir, precision="auto").encode(texts)
np.save(target, vectors)
print(f"{target}: {len(vectors)} vectors of {vectors.shape[1]} values")
