"""The golden outputs of bert-serving-server 1.10.0 and what each was made with (fixtures/…/README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "bert_as_service_1.10.0"
TEXTS = ["hello world!", "a b c d e f", "first do it then ||| do it"]
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Golden:
    """One golden output: its file and the flags of bert-serving-start that made it."""

    name: str
    flags: str
    model: str = "small"
    tolerance: float = TOLERANCE

    @property
    def vectors(self) -> np.ndarray:
        return np.load(FOLDER / f"{self.name}.npy")

    @property
    def model_dir(self) -> Path:
        return FOLDER / self.model


GOLDEN = [
    Golden("mean", ""),
    Golden("none", "-pooling_strategy NONE -pooling_layer -1"),
    Golden("nonemask", "-pooling_strategy NONE -pooling_layer -1 -mask_cls_sep"),
    Golden("cls", "-pooling_strategy CLS_TOKEN -pooling_layer -1"),
    Golden("sep", "-pooling_strategy SEP_TOKEN -pooling_layer -1"),
    Golden("sepmask", "-pooling_strategy SEP_TOKEN -pooling_layer -1 -mask_cls_sep"),
    Golden("max", "-pooling_strategy REDUCE_MAX -pooling_layer -1"),
    Golden("max2", "-pooling_strategy REDUCE_MAX"),
    Golden("multi", "-pooling_layer -1 -3"),
    Golden("pooled", "-pooling_strategy CLS_POOLED"),
    Golden("noneNONE", "-pooling_strategy NONE -pooling_layer -1 -max_seq_len NONE"),
    Golden("noneFIX", "-pooling_strategy NONE -pooling_layer -1 -max_seq_len NONE -fixed_embed_length"),
    Golden("nopos", "-no_position_embeddings"),
    Golden("fp16mean", "-fp16", tolerance=3e-3),
    Golden("head_cls3", "-pooling_strategy CLASSIFICATION -num_labels 3", model="cls3"),
    Golden("head_reg1", "-pooling_strategy REGRESSION", model="reg1"),
]
