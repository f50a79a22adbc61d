from __future__ import annotations

from pathlib import Path

from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import pack
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab


def test_sequences_lie_end_to_end(vocab_path: Path) -> None:
    vocab = Vocab.load(vocab_path)
    features = InputBuilder(FullTokenizer(vocab), 8).texts(["a b", "a ||| c"])
    plain, masked = pack(features), pack(features, mask_special=True)
    tokens = ["[CLS]", "a", "b", "[SEP]", "[CLS]", "a", "[SEP]", "c", "[SEP]"]
    assert [vocab.tokens[i] for i in plain.ids] == tokens
    assert plain.segments.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert plain.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert plain.lengths.tolist() == [4, 5]
    assert plain.mask.tolist() == [1] * 9
    assert masked.mask.tolist() == [0, 1, 1, 0, 0, 1, 0, 1, 0]
    assert [array.dtype.name for array in plain] == ["int32", "int32", "int32", "int32", "float32"]
