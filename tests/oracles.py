"""Other people's code that ours is held to."""

from __future__ import annotations

import os
from typing import Any


def google_tokenizer(vocab_path: str | os.PathLike[str], do_lower_case: bool) -> Any:
    """The ``FullTokenizer`` of bert-tensorflow 1.0.4; ``.basic_tokenizer`` is the part before WordPiece."""
    from absl import flags

    # The module reads a flag at every call, which absl refuses before command line parsing.
    flags.FLAGS.mark_as_parsed()
    from bert import tokenization

    return tokenization.FullTokenizer(os.fspath(vocab_path), do_lower_case=do_lower_case)
