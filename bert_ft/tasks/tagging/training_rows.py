"""Tagged texts as the model reads them in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bert_ft.checkpoint.head import CRF_TRANSITIONS
from bert_ft.model.heads import NO_LABEL
from bert_ft.model.trainable import BertModel
from bert_ft.tasks.tagging.examples import TaggedTexts
from bert_ft.tasks.tagging.schemes import tags_of
from bert_ft.text.decoding import BioDecoder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.windows import WindowBuilder, WindowedText


def windows_of(builder: WindowBuilder, texts: TaggedTexts) -> list[WindowedText]:
    """Windows of each example, on the file's own tokens where it has them."""
    raw = iter(builder.texts([example.text for example in texts.examples if example.units is None]))
    return [
        next(raw) if example.units is None else builder.with_units(example.text, example.units)
        for example in texts.examples
    ]


def training_rows(
    texts: TaggedTexts, windowed: Sequence[WindowedText], labels: Sequence[str]
) -> tuple[list[InputFeatures], list[np.ndarray], list[str]]:
    """One row a window: features, the tag id of each piece (``NO_LABEL`` but for first pieces), and its source."""
    ids = {label: index for index, label in enumerate(labels)}
    features, tags, sources = [], [], []
    for example, text in zip(texts.examples, windowed, strict=True):
        unit_tags = [ids[tag] for tag in tags_of(example.spans, text.units)]
        for window in text.windows:
            row = np.full(len(window.features.ids), NO_LABEL, np.int32)
            row[window.first_pieces] = unit_tags[window.units.start : window.units.stop]
            features.append(window.features)
            tags.append(row)
            sources.append(f"{texts.path.name}:{example.line}")
    return features, tags, sources


def decoder_of(model: BertModel, labels: Sequence[str]) -> BioDecoder:
    transitions = model.variables.get(CRF_TRANSITIONS)
    return BioDecoder(labels, None if transitions is None else transitions.numpy())
