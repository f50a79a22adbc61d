"""Mean-pooled vectors of a Hugging Face BERT folder by transformers and torch, for hf_parity.py to compare with.

Usage: python benchmarks/hf_vectors.py FOLDER TEXTS OUT.npy

Runs in an environment of its own that has torch and transformers. TEXTS has a text a line; OUT.npy gets float32
[number of texts, hidden].
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import BertModel, BertTokenizer

folder, texts_file, output = sys.argv[1:]
tokenizer = BertTokenizer.from_pretrained(folder)
model, report = BertModel.from_pretrained(folder, output_loading_info=True)
assert not [name for name in report["missing_keys"] if not name.startswith("pooler.")], report
model.eval()
vectors = []
for text in Path(texts_file).read_text(encoding="utf-8").split("\n"):
    encoded = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        vectors.append(model(**encoded).last_hidden_state[0].mean(dim=0).numpy())
np.save(output, np.stack(vectors))
