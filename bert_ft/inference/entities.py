"""Entities of texts, as the server gives them, without a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bert_ft.checkpoint.head import TAGGING
from bert_ft.errors import BertFtError
from bert_ft.hardware.choice import AUTO
from bert_ft.inference.local_model import LocalModel
from bert_ft.inference.logits import Share
from bert_ft.inference.spans import predict_spans
from bert_ft.logs import Progress
from bert_ft.text.entities import entities_of, tags_of
from bert_ft.text.spans import UnitSpan
from bert_ft.text.windows import WindowBuilder, WindowedText

_OUTPUTS: dict[str, Callable[[WindowedText, Iterable[UnitSpan]], list[Any]]] = {
    "entities": entities_of,
    "tags": tags_of,
}


class Tagger:
    """Texts to their entities.

    A text longer than ``max_seq_length`` is read in overlapping windows, so that nothing is lost.

    Args:
        model_dir: a directory with a tagging head, such as ``bert-ft-train --task_name=ner`` leaves.
        max_seq_length: most pieces of a window, special tokens included; None for those of the training.
        precision, engine: as the server's flags of these names.
        batch_size: windows that go through the model at once.

    Raises:
        BertFtError: the model directory or an option cannot be used.

    Example:
        >>> tagger = Tagger(tagger_dir)
        >>> for entity in tagger.tag(["他在北京"])[0]:
        ...     assert "他在北京"[entity["start"] : entity["end"]] == entity["text"]
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | LocalModel,
        max_seq_length: int | None = None,
        precision: str = "fp32",
        engine: str = AUTO,
        batch_size: int = 64,
    ) -> None:
        self.model = LocalModel.with_head(model_dir, TAGGING, precision, engine)
        directory = self.model.directory
        pieces = directory.window_pieces if max_seq_length is None else directory.max_pieces(max_seq_length)
        self.windows = WindowBuilder(self.model.tokenizer, pieces)
        self._decoder = self.model.decoder()
        self._batch_size = batch_size

    def tag(self, texts: Sequence[str] | Sequence[Sequence[str]], output: str = "entities") -> list[list[Any]]:
        """Entities of each text, or its tags.

        Args:
            texts: strings, or lists of tokens.
            output: "entities": ``{"type", "text", "start", "end", "score"}``, offsets in characters of the text (in
                tokens, of lists of them), the end exclusive; "tags": a BIO tag for each character or token.

        Raises:
            BertFtError: ``output`` is neither.
        """
        if output not in _OUTPUTS:
            raise BertFtError(f"output must be one of {', '.join(_OUTPUTS)}, not {output!r}")
        tokenized = bool(texts) and not isinstance(texts[0], str)
        windowed = self.windows.words(texts) if tokenized else self.windows.texts(texts)  # type: ignore[arg-type]
        return self.answers(windowed, output)

    def answers(
        self, windowed: Sequence[WindowedText], output: str = "entities", progress: Progress | None = None
    ) -> list[list[Any]]:
        """As :meth:`tag`, of texts that were cut into windows."""
        spans = predict_spans(self.model, self._decoder, windowed, self._batch_size, progress)
        return [_OUTPUTS[output](one, found) for one, found in zip(windowed, spans, strict=True)]

    def lines(self, texts: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
        """``{"text", "entities"}`` of each text; one without words has none."""
        windowed = self.windows.texts(texts)
        share = Share(progress, len(texts), sum(len(one.windows) for one in windowed))
        found = self.answers(windowed, progress=share)
        return [{"text": one.text, "entities": entities} for one, entities in zip(windowed, found, strict=True)]

    def report(self) -> None:
        """Nothing was cut."""
