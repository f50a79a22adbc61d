"""Our tokenizer against Google's on whole files, every line a text, cased and uncased.

Run from the project's folder: ``python -m benchmarks.tokenizer_parity VOCAB FILE...``. Needs bert-tensorflow 1.0.4
(``pip install --no-deps bert-tensorflow==1.0.4``), absl-py and six. Exits with 1 if any text differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bert_ft.text.tokenizer import _SAFE_TEXT, FullTokenizer
from bert_ft.text.vocab import Vocab
from tests.oracles import google_tokenizer

SHOWN = 10


@click.command()
@click.argument("vocab", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(vocab: Path, files: tuple[Path, ...]) -> None:
    """Compare word pieces, ids and, between our two roads, offsets; print counts and the first differences."""
    texts = [line for file in files for line in file.read_text("utf-8", "replace").split("\n") if line]
    differences = 0
    for do_lower_case in (True, False):
        ours = FullTokenizer(Vocab.load(vocab), do_lower_case)
        google = google_tokenizer(vocab, do_lower_case)
        encodings = ours.encode_batch(texts)
        roads = zip(encodings, ours._encode_any(texts), strict=True)
        wrong = {text for text, (fast, slow) in zip(texts, roads, strict=True) if fast != slow}
        for text, encoding in zip(texts, encodings, strict=True):
            tokens = google.tokenize(text)
            if encoding.tokens != tokens or encoding.ids != google.convert_tokens_to_ids(tokens):
                wrong.add(text)
        for text in sorted(wrong)[:SHOWN]:
            click.echo(f"differs: {text!a}", err=True)
        differences += len(wrong)
        fast_road = sum(_SAFE_TEXT.fullmatch(text) is not None for text in texts)
        click.echo(
            f"{vocab} {'uncased' if do_lower_case else 'cased'}: {len(texts)} texts from {len(files)} files, "
            f"{sum(len(e.ids) for e in encodings)} tokens, {fast_road / len(texts):.1%} of the texts through Rust "
            f"alone, {len(wrong)} differences"
        )
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
