from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.oracles import google_tokenizer

# A busy machine is no failure.
settings.register_profile("bert_ft", deadline=None)
settings.load_profile("bert_ft")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = (
    string.ascii_letters + string.digits + string.punctuation + "αβγσςΣßıéÉå。，！「」＊ａｂ今天真开心豈\uf900𠀀𪜀"
    "\uac01\u1100\u1161\u11a8かがキｶ\u0301\u0307\u093e\u0e31\ufe0f\ue000\u0378\U0001d165\U0001d16d😂👩"
)
PIECES = ["hello", "un", "##aff", "##able", "ma", "##sk", "cls", "sep", "##ep", "odo", "##ος", "##οσ", "ab", "##ab"]


@pytest.fixture(scope="session")
def vocab_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vocabulary: letters of several scripts, alone and as continuation, and a few longer pieces."""
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    tokens = [*SPECIAL, *CHARACTERS, *(f"##{c}" for c in CHARACTERS), *PIECES]
    path.write_text("".join(f"{token}\n" for token in dict.fromkeys(tokens)), encoding="utf-8")
    return path


@pytest.fixture(scope="session", params=[True, False], ids=["uncased", "cased"])
def do_lower_case(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(scope="session")
def tokenizer(vocab_path: Path, do_lower_case: bool) -> FullTokenizer:
    return FullTokenizer(Vocab.load(vocab_path), do_lower_case)


@pytest.fixture(scope="session")
def google(vocab_path: Path, do_lower_case: bool) -> Any:
    return google_tokenizer(vocab_path, do_lower_case)
