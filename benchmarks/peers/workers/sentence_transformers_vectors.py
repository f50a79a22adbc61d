"""Vectors by sentence-transformers, not brought to length 1, for sentence_transformers_parity.py.

Usage: python sentence_transformers_vectors.py FOLDER TEXTS OUT.npy MAX_SEQ_LENGTH

Runs in an environment of its own. TEXTS has a text a line; OUT.npy gets float32 [number of texts, hidden].
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

folder, texts_file, output, max_seq_length = sys.argv[1:]
whole = SentenceTransformer(folder, device="cpu")
names = [type(module).__name__ for module in whole]
assert names in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]), names
model = SentenceTransformer(modules=list(whole)[:2], device="cpu")
model.max_seq_length = int(max_seq_length)
texts = Path(texts_file).read_text(encoding="utf-8").split("\n")
np.save(output, model.encode(texts, batch_size=16, normalize_embeddings=False, show_progress_bar=False))
