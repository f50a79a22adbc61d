"""Fine-tune, evaluate and predict for a tagging task."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.head import TAGGING, HeadKind
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.data.checksum import checksum
from bert_ft.data.splits import find_split, find_training_file
from bert_ft.errors import BertFtError
from bert_ft.inference.spans import predict_spans
from bert_ft.logs import Progress
from bert_ft.model.heads import TaggingHead
from bert_ft.model.trainable import BertModel
from bert_ft.shown import MAX
from bert_ft.signals import watched_bar
from bert_ft.tasks.tagging.augment import replace_entities
from bert_ft.tasks.tagging.examples import TaggedTexts, read_examples
from bert_ft.tasks.tagging.options import TaggingOptions
from bert_ft.tasks.tagging.predictions import Prediction, write_conll, write_json_lines
from bert_ft.tasks.tagging.rates import is_trained_first, rate_factors
from bert_ft.tasks.tagging.schemes import labels_of, tags_of
from bert_ft.tasks.tagging.span_metrics import cluener_score, span_metrics, token_accuracy
from bert_ft.tasks.tagging.training_rows import decoder_of, training_rows, windows_of
from bert_ft.text.spans import Span
from bert_ft.text.windows import WindowBuilder, WindowedText
from bert_ft.training.fine_tune import Recipe, Trained
from bert_ft.training.loop import TrainingSet
from bert_ft.training.starting_point import StartingPoint
from bert_ft.training.task_run import TaskRun

logger = logging.getLogger(__name__)

METRIC = "micro_f1"
SWAP_PROBABILITY = 0.5


class TaggingRun(TaskRun[TaggingOptions]):
    """One call of run_ner."""

    head_name = TaggingHead.name

    def _check(self) -> None:
        options = self.options
        if self._test_file() is None and options.do_predict:
            raise BertFtError(f"{options.data_dir}: has no test data; leave out --do_predict or give --test_file")

    def _recipe(self, start: StartingPoint) -> Recipe:
        options = self.options
        builder = WindowBuilder(start.tokenizer, options.max_seq_length)
        train, held_out = self._read_training()
        dev = self._read_dev(held_out) if options.do_eval else None
        labels = labels_of(train.types)
        logger.info("%s: %d texts, %d entity types", train.path, len(train.examples), len(train.types))
        head = TaggingHead(len(labels), crf=options.head == "crf")
        dev_windows = windows_of(builder, dev) if dev else []

        def evaluate(model: BertModel, progress: Progress) -> dict[str, Any]:
            assert dev is not None
            found = _predict(model, labels, dev_windows, options.eval_batch_size, progress)
            return _scores(dev, dev_windows, found)

        return Recipe(
            head=head,
            labels=labels,
            data=self._training_set(builder, train, labels),
            evaluate=evaluate if dev else None,
            metric=METRIC,
            patience=options.early_stopping,
            part_epochs=options.freeze_epochs,
            rate_factors=rate_factors(
                options, [*encoder_shapes(start.config), *head.shapes(start.config)], start.config
            ),
            is_trained_first=is_trained_first(options, start.config),
            head_options=HeadKind(TAGGING, labels, head.crf).options,
            development_checksum=checksum((e.text, e.units, e.spans) for e in dev.examples) if dev else None,
        )

    def _training_set(self, builder: WindowBuilder, train: TaggedTexts, labels: Sequence[str]) -> TrainingSet:
        examples = list(train.examples)
        generator = np.random.default_rng(self.options.seed)
        for _ in range(self.options.augment):
            examples += replace_entities(train.examples, generator, SWAP_PROBABILITY)
        texts = replace(train, examples=examples)
        return TrainingSet(*training_rows(texts, windows_of(builder, texts), labels))

    def _read_training(self) -> tuple[TaggedTexts, TaggedTexts | None]:
        """The training data, and what is held out of it as development data."""
        path = find_training_file(self.options.data_dir, self.options.train_file)
        train = read_examples(path, self.options.format, self._bad_rows(), training=True)
        if not train.types:
            raise BertFtError(f"{path}: no text has an entity; there is nothing to learn")
        if self._dev_file() is not None or not self.options.holdout:
            return train, None
        order = np.random.default_rng(self.options.seed).permutation(len(train.examples))
        count = max(1, round(len(order) * self.options.holdout))
        held, kept = ([train.examples[i] for i in sorted(part)] for part in (order[:count], order[count:]))
        logger.info("%s: %d texts held out as development data", path, count)
        return replace(train, examples=kept), replace(train, examples=held)

    def _read_dev(self, held_out: TaggedTexts | None) -> TaggedTexts:
        """The development data, from its file or held out of the training data."""
        path = self._dev_file()
        if path is None:
            if held_out is None:
                raise BertFtError(
                    f"{self.options.data_dir}: has no development data; name it with --dev_file, hold some out of the "
                    "training data with --holdout=0.1, or give --do_train alone"
                )
            return held_out
        dev = read_examples(path, self.options.format, self._bad_rows(), training=False)
        if not dev.labelled:
            raise BertFtError(f"{path}: the development data has no labels")
        return dev

    def _dev_file(self) -> Path | None:
        return find_split(self.options.data_dir, "dev", self.options.dev_file)

    def _test_file(self) -> Path | None:
        return find_split(self.options.data_dir, "test", self.options.test_file)

    def _score_dev(self, trained: Trained) -> dict[str, float]:
        dev = self._read_dev(None if self._dev_file() else self._read_training()[1])
        scores = self._score_split("dev", trained, dev)
        return {f"eval_{key}": value for key, value in scores.items() if isinstance(value, float)}

    def _score_test(self, trained: Trained) -> None:
        path = self._test_file()
        assert path is not None
        texts = read_examples(path, self.options.format, self._bad_rows(), training=False)
        self._score_split("test", trained, texts)

    def _score_split(self, name: str, trained: Trained, texts: TaggedTexts) -> dict[str, Any]:
        """Write the predictions of a split; returns its scores, or none if it has no labels."""
        options = self.options
        windowed = windows_of(WindowBuilder(trained.tokenizer, options.max_seq_length), texts)
        with watched_bar(sum(len(text.windows) for text in windowed), "window", "predicting") as progress:
            labels = trained.metadata.labels
            predicted = _predict(trained.model, labels, windowed, options.predict_batch_size, progress)
        predictions = [
            Prediction(example.text, text.units, example.spans if texts.labelled else None, *found)
            for example, text, found in zip(texts.examples, windowed, predicted, strict=True)
        ]
        write_conll(options.output_dir / f"{name}_predictions.conll", predictions)
        write_json_lines(options.output_dir / f"{name}_predictions.jsonl", predictions)
        if not texts.labelled:
            return {}
        scores = self.metrics[name] = _scores(texts, windowed, predicted)
        self._say(_report(texts.path, scores))
        return scores


_Found = tuple[list[Span], list[float]]


def _scores(texts: TaggedTexts, windowed: Sequence[WindowedText], predicted: Sequence[_Found]) -> dict[str, Any]:
    gold = [example.spans for example in texts.examples]
    found = [spans for spans, _ in predicted]
    units = [text.units for text in windowed]
    scores = span_metrics(gold, found)
    scores["token_accuracy"] = token_accuracy(
        [tags_of(spans, ranges) for spans, ranges in zip(gold, units, strict=True)],
        [tags_of(spans, ranges) for spans, ranges in zip(found, units, strict=True)],
    )
    if texts.format == "cluener":
        official = cluener_score([example.text for example in texts.examples], gold, found)
        scores |= {"cluener_f1": official["cluener_f1"], "cluener_per_type": official["per_type"]}
    return scores


def _predict(
    model: BertModel,
    labels: Sequence[str],
    windowed: Sequence[WindowedText],
    batch_size: int,
    progress: Progress | None = None,
) -> list[_Found]:
    """Character spans of each text and their scores."""
    result = []
    for text, spans in zip(
        windowed, predict_spans(model, decoder_of(model, labels), windowed, batch_size, progress), strict=True
    ):
        places = [Span(span.type, text.units[span.first][0], text.units[span.end - 1][1]) for span in spans]
        result.append((places, [span.score for span in spans]))
    return result


def _report(path: Path, scores: dict[str, Any]) -> str:
    rows = [*scores["per_type"].items()]
    more = [f"  and {len(rows) - MAX} more types, in metrics.json"] if len(rows) > MAX else []
    rows = rows[:MAX]
    for name in ("micro", "macro"):
        values = {key: scores[f"{name}_{key}"] for key in ("precision", "recall", "f1")}
        rows.append((f"{name} average", {**values, "support": scores["support"]}))
    width = max(len(name) for name, _ in rows)
    lines = [f"{path.name}:", f"  {'':<{width}}  precision  recall      f1  support"]
    for name, values in rows:
        figures = f"{values['precision']:>9.4f} {values['recall']:>7.4f} {values['f1']:>7.4f} {values['support']:>8}"
        lines.append(f"  {name:<{width}}  {figures}")
    lines += more
    official = f", CLUENER's macro F1 {scores['cluener_f1']:.4f}" if "cluener_f1" in scores else ""
    lines.append(f"  token accuracy {scores['token_accuracy']:.4f}{official}")
    return "\n".join(lines)
