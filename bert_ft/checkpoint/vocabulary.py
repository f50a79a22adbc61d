"""The vocabulary that belongs to a model."""

from __future__ import annotations

from pathlib import Path

from bert_ft.checkpoint.config import BertConfig
from bert_ft.errors import BertFtError
from bert_ft.text.vocab import Vocab


def load_fitting_vocab(path: Path, config: BertConfig) -> Vocab:
    """Read a vocabulary that has one entry for each row of the model's word embeddings.

    Raises:
        BertFtError: it cannot be read, or has more or fewer entries: another model's, or a broken copy.
    """
    vocab = Vocab.load(path)
    if len(vocab) != config.vocab_size:
        raise BertFtError(
            f"{path}: has {len(vocab)} entries, but the configuration says vocab_size {config.vocab_size}; "
            "use the vocab.txt that came with the checkpoint"
        )
    return vocab
