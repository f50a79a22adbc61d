"""bert_config.json: the shape of the network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small

ACTIVATIONS = ("gelu", "gelu_tanh", "gelu_new", "relu", "tanh", "linear")
_LARGEST = {
    "vocab_size": 2_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 256,
    "num_attention_heads": 1_024,
    "intermediate_size": 131_072,
    "max_position_embeddings": 131_072,
    "type_vocab_size": 1_024,
}
_MAX_WEIGHTS = 16_000_000_000
"""Of all weights together, 64 GB as float32; the largest BERT models have a quarter of it."""


@dataclass(frozen=True)
class BertConfig:
    """The fields of Google's bert_config.json, with Google's defaults; only ``vocab_size`` is required.

    Attributes:
        hidden_act: "gelu" is the exact erf form; "gelu_tanh" (or "gelu_new") the tanh form of Google's later code.
        hidden_dropout_prob: dropout of embeddings and block outputs in training, 0 to 1.
        initializer_range: standard deviation of the truncated normal that new weights are drawn from.
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def load(cls, path: str | Path) -> BertConfig:
        """Read and check a bert_config.json; keys that this project does not use are ignored, as Google does."""
        try:
            raw = json.loads(read_small(path).decode("utf-8-sig"))
        except FileNotFoundError:
            raise BertFtError(f"{path}: no such file; a model directory needs its bert_config.json") from None
        except (OSError, ValueError, RecursionError) as error:
            raise BertFtError(f"{path}: not a readable JSON file ({error})") from None
        if not isinstance(raw, dict):
            raise BertFtError(f"{path}: must hold one JSON object")
        return cls.from_dict(raw, str(path))

    @classmethod
    def from_dict(cls, raw: dict, source: str = "bert_config.json") -> BertConfig:
        if "vocab_size" not in raw:
            raise BertFtError(f"{source}: vocab_size is missing")
        known = {field.name for field in fields(cls)}
        config = cls(**{key: value for key, value in raw.items() if key in known})
        config._check(source)
        return config

    def save(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def _weights(self) -> int:
        """How many weights the network has, but for biases and LayerNorm."""
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        layer = 4 * self.hidden_size + 2 * self.intermediate_size
        return self.hidden_size * (rows + self.num_hidden_layers * layer)

    def _check(self, source: str) -> None:
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
                raise BertFtError(f"{source}: {name} must be a whole number from 1 to {largest}, not {value!r}")
        if self._weights() > _MAX_WEIGHTS:
            raise BertFtError(
                f"{source}: these sizes make {self._weights():,} weights, more than {_MAX_WEIGHTS:,}; give the "
                "bert_config.json of a real model"
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
                raise BertFtError(f"{source}: {name} must be a number from 0 to below 1, not {value!r}")
        if not isinstance(self.initializer_range, (int, float)) or not 0 < self.initializer_range < 10:
            raise BertFtError(f"{source}: initializer_range must be a positive number, not {self.initializer_range!r}")
        if self.hidden_size % self.num_attention_heads:
            raise BertFtError(
                f"{source}: hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise BertFtError(f"{source}: hidden_act {self.hidden_act!r} is not one of {', '.join(ACTIVATIONS)}")
