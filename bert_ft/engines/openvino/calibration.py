"""The texts that a model's value ranges are measured on before it is quantised."""

from __future__ import annotations

from importlib.resources import files
from itertools import islice
from pathlib import Path

from bert_ft.errors import BertFtError
from bert_ft.files.lines import text_chunks

MAX_TEXTS = 300
_MAX_CHUNKS = 64
_BUNDLED = "calibration_texts.txt"


def calibration_texts(path: str | None) -> list[str]:
    """At most ``MAX_TEXTS`` lines of a file, evenly spaced over its first 64 MB; of the bundled sample without a path.

    Raises:
        BertFtError: the file cannot be read, is not UTF-8, or has no text.
    """
    if path is None:
        lines = files("bert_ft.engines.openvino").joinpath(_BUNDLED).read_text("utf-8").splitlines()
    else:
        if not Path(path).is_file():
            raise BertFtError(f"-calibration_texts {path}: no such file; give a file with one text a line")
        lines = [line for chunk in islice(text_chunks(path), _MAX_CHUNKS) for line in chunk]
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise BertFtError(f"-calibration_texts {path}: has no texts; give a file with one text a line")
    step = max(1.0, len(texts) / MAX_TEXTS)
    return [texts[int(place * step)] for place in range(min(len(texts), MAX_TEXTS))]
