"""The entities of a file's lines, marked in the text: python examples/entities_of_a_file.py MODEL_DIR texts.txt"""

import sys
from pathlib import Path

import bert_ft

model_dir, source = sys.argv[1:]
texts = Path(source).read_text(encoding="utf-8").splitlines()
for text, entities in zip(texts, bert_ft.Tagger(model_dir).tag(texts), strict=True):
    for entity in reversed(entities):  # from the end, so that the offsets before stay true
        start, end = entity["start"], entity["end"]
        text = f"{text[:start]}[{entity['type']} {text[start:end]}]{text[end:]}"
    print(text)
