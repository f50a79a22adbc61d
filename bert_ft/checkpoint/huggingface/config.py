"""Hugging Face's JSON files: config.json and tokenizer_config.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.head import CLASSIFICATION, TAGGING, HeadKind
from bert_ft.errors import BertFtError
from bert_ft.files.small import read_small
from bert_ft.numerics import LAYER_NORM_EPSILON
from bert_ft.text.vocab import CLS, PAD, SEP, UNK

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer_config.json"
CLASSIFIERS = {"BertForSequenceClassification": CLASSIFICATION, "BertForTokenClassification": TAGGING}
_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_new"}  # gelu_fast: the tanh form once more
_ACTIVATION_NAMES = {"gelu_tanh": "gelu_pytorch_tanh"}
_UNSUPPORTED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}


def read_config(raw: dict[str, Any], source: str) -> BertConfig:
    """The shape of the network from a config.json.

    Raises:
        BertFtError: it is no BERT, or a BERT with a feature that Google's lacks.
    """
    kind = raw.get("model_type")
    if kind != "bert":
        raise BertFtError(f"{source}: model_type is {kind!r}; only models of type 'bert' can be imported")
    for name, only in _UNSUPPORTED.items():
        if raw.get(name, only) != only:
            raise BertFtError(f"{source}: {name} is {raw[name]!r}; only {only!r} can be imported")
    epsilon = raw.get("layer_norm_eps", LAYER_NORM_EPSILON)
    if epsilon != LAYER_NORM_EPSILON:
        raise BertFtError(
            f"{source}: layer_norm_eps is {epsilon!r}; Google's BERT has {LAYER_NORM_EPSILON}, and with another "
            "the vectors would differ"
        )
    activation = raw.get("hidden_act", "gelu")
    known = {**raw, "hidden_act": _ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else None}
    # what Hugging Face leaves out has its own default, not Google's
    return BertConfig.from_dict({"vocab_size": 30522, "type_vocab_size": 2, **known}, source)


def classifier_kind(raw: dict[str, Any], source: str) -> str | None:
    """Our name for the head of the class that config.json names first, None for all other classes."""
    architectures = raw.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    kind = CLASSIFIERS.get(first) if isinstance(first, str) else None
    if kind and raw.get("problem_type") == "multi_label_classification":
        raise BertFtError(f"{source}: a multi-label classifier, which no head here is; import with --encoder_only")
    return kind


def read_labels(raw: dict[str, Any], count: int, source: str) -> list[str]:
    """The names of ``id2label`` in id order; LABEL_0, LABEL_1, … where there are none."""
    given = raw.get("id2label")
    if given is None:
        return [f"LABEL_{index}" for index in range(count)]
    found = [given.get(str(index)) for index in range(count)] if isinstance(given, dict) else []
    labels = [label for label in found if isinstance(label, str)]
    if len(labels) != count or len(given) != count:
        raise BertFtError(f"{source}: id2label must name the ids 0 to {count - 1} of the classifier's {count} outputs")
    if len(set(labels)) != count:
        raise BertFtError(f"{source}: id2label has a name twice; give every id its own")
    return labels


def check_bio(labels: Iterable[str], source: str) -> None:
    """See that the labels of a tagging head are BIO tags.

    Raises:
        BertFtError: naming the first label that is none.
    """
    known = set(labels)
    for label in labels:
        if label == "O" or (label.startswith("B-") and label != "B-"):
            continue
        if not label.startswith("I-") or f"B-{label[2:]}" not in known:
            raise BertFtError(
                f"{source}: label {label!r} does not fit the BIO scheme (O, B-type, I-type with its B-type); "
                "import with --encoder_only and train a new head"
            )


def write_config(config: BertConfig, metadata: ModelMetadata) -> dict[str, Any]:
    """config.json for a model and the labels of its head."""
    names = {kind: name for name, kind in CLASSIFIERS.items()}
    result = {
        **asdict(config),
        "architectures": [names[metadata.head] if metadata.head else "BertModel"],
        "hidden_act": _ACTIVATION_NAMES.get(config.hidden_act, config.hidden_act),
        "layer_norm_eps": LAYER_NORM_EPSILON,
        "model_type": "bert",
        "position_embedding_type": "absolute",
    }
    return result | (HeadKind(metadata.head, metadata.labels).label_maps if metadata.head else {})


def read_casing(folder: Path, tokenizer: dict[str, Any], asked: bool | None) -> bool:
    """Casing as asked, else as tokenizer_config.json has it, else lower-cased with a warning."""
    known = tokenizer.get("do_lower_case")
    lower = asked if asked is not None else known
    if lower is None:
        logger.warning(
            "%s: %s does not give do_lower_case; text will be lower-cased, as BertTokenizer does by default "
            "(--do_lower_case=false keeps its case)", folder, TOKENIZER_FILE,
        )  # fmt: skip
        return True
    if not isinstance(lower, bool):
        raise BertFtError(f"{folder / TOKENIZER_FILE}: do_lower_case must be true or false, not {lower!r}")
    for name, usual in (("strip_accents", lower), ("tokenize_chinese_chars", True)):
        if tokenizer.get(name) not in (None, usual):
            raise BertFtError(
                f"{folder / TOKENIZER_FILE}: {name} is {tokenizer[name]!r}; Google's tokenizer has no such choice"
            )
    return lower


def read_max_seq_length(tokenizer: dict[str, Any], config: BertConfig) -> int:
    """``model_max_length``, or the number of positions where it is absent or no length of this model."""
    length = tokenizer.get("model_max_length")
    fits = isinstance(length, int) and 3 <= length <= config.max_position_embeddings
    return length if fits else config.max_position_embeddings  # type: ignore[return-value]


def tokenizer_config(metadata: ModelMetadata) -> dict[str, Any]:
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": metadata.do_lower_case,
        "model_max_length": metadata.max_seq_length,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "unk_token": UNK,
        "cls_token": CLS,
        "sep_token": SEP,
        "pad_token": PAD,
        "mask_token": "[MASK]",
    }


def read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(read_small(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise BertFtError(f"{path}: no such file; give the folder of a Hugging Face BERT") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BertFtError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(raw, dict):
        raise BertFtError(f"{path}: must hold one JSON object")
    return raw


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
