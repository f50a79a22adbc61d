"""From texts to what is queued, for each task. Runs in threads."""

from __future__ import annotations

from bert_serving.server.settings import Settings
from bert_serving.server.tasks.request import Texts

from bert_ft.checkpoint.directory import load_fitting_vocab
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.windows import WindowBuilder, WindowedText

Prepared = list[InputFeatures] | list[WindowedText]


class Preparer:
    """Tokenises, and keeps only what is needed later: a waiting request should be small.

    Heads read their texts as in training, whatever ``-mask_cls_sep`` and ``-no_special_token`` say about vectors.
    """

    def __init__(self, settings: Settings) -> None:
        vocab = load_fitting_vocab(settings.directory.vocab_file, settings.directory.config)
        tokenizer = FullTokenizer(vocab, settings.options.do_lower_case)
        self._show_tokens = settings.options.show_tokens_to_client
        self._encode = InputBuilder(tokenizer, settings.max_pieces, settings.options.no_special_token)
        self._classify = InputBuilder(tokenizer, settings.max_pieces)
        self._windows = WindowBuilder(tokenizer, settings.window_pieces)

    def prepare(self, task: str, texts: Texts) -> Prepared:
        """One entry a text: features, or for tagging a text in windows."""
        if task == "tag":
            return self._tag(texts)
        if task == "classify":
            return [f._replace(special=(), tokens=[], offsets=[]) for f in _features(self._classify, texts)]
        features = _features(self._encode, texts)
        return [f._replace(tokens=f.tokens if self._show_tokens else [], offsets=[]) for f in features]

    def _tag(self, texts: Texts) -> list[WindowedText]:
        windowed = self._windows.words(texts) if isinstance(texts[0], list) else self._windows.texts(texts)
        return [
            one._replace(
                windows=[
                    window._replace(features=window.features._replace(special=(), tokens=[], offsets=[]))
                    for window in one.windows
                ]
            )
            for one in windowed
        ]


def _features(builder: InputBuilder, texts: Texts) -> list[InputFeatures]:
    return builder.tokenized(texts) if isinstance(texts[0], list) else builder.texts(texts)
