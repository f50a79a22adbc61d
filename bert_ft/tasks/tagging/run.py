"""Fine-tune, evaluate and predict for a tagging task."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.data.checksum import checksum
from bert_ft.data.rows import BadRows
from bert_ft.data.splits import find_split, find_training_file
from bert_ft.errors import BertFtError
from bert_ft.files.lock import locked_output
from bert_ft.inference.spans import predict_spans
from bert_ft.logs import Progress
from bert_ft.model.heads import TaggingHead
from bert_ft.model.trainable import BertModel
from bert_ft.shown import MAX
from bert_ft.signals import watched_bar
from bert_ft.tasks.tagging.augment import replace_entities
from bert_ft.tasks.tagging.examples import TaggedTexts, read_examples
from bert_ft.tasks.tagging.predictions import Prediction, write_conll, write_json_lines
from bert_ft.tasks.tagging.rates import TaggingFlags
from bert_ft.tasks.tagging.schemes import labels_of, tags_of
from bert_ft.tasks.tagging.training_rows import decoder_of, training_rows, windows_of
from bert_ft.text.spans import Span
from bert_ft.text.windows import WindowBuilder, WindowedText
from bert_ft.training.fine_tune import Recipe, check_length, fine_tune, open_trained, starting_point
from bert_ft.training.loop import Plan, TrainingSet
from bert_ft.training.options import TrainingFlags
from bert_ft.training.result_files import write_eval_results, write_json
from bert_ft.training.schedule import Schedule
from bert_ft.training.span_metrics import cluener_score, span_metrics, token_accuracy

logger = logging.getLogger(__name__)

METRIC = "micro_f1"
SWAP_PROBABILITY = 0.5


class TaggingRun:
    """One call of run_ner.

    Args:
        task: name of the task, as recorded in bert_ft.json.
    """

    def __init__(self, task: str, flags: TrainingFlags, tagging: TaggingFlags) -> None:
        self._task = task
        self._flags = flags
        self._tagging = tagging
        self._metrics: dict[str, Any] = {"task": task}

    def run(self) -> int:
        """Do what the --do_ flags ask; returns the exit status, other than 0 when a signal ended the training."""
        test = find_split(self._flags.data_dir, "test", self._tagging.test_file)
        if self._flags.do_predict and test is None:
            raise BertFtError(f"{self._flags.data_dir}: has no test data; leave out --do_predict or give --test_file")
        if not self._flags.do_train:
            self._score(test)
            return 0
        with locked_output(self._flags.output_dir):
            status = self._train()
            if status == 0 and (self._flags.do_eval or self._flags.do_predict):
                self._score(test)
        return status

    def _train(self) -> int:
        flags, tagging = self._flags, self._tagging
        start = starting_point(flags, self._task, tagging.record())
        builder = WindowBuilder(start.tokenizer, flags.max_seq_length)
        train, held_out = self._read_training()
        dev = self._read_dev(held_out) if flags.do_eval else None
        labels = labels_of(train.types)
        logger.info("%s: %d texts, %d entity types", train.path, len(train.examples), len(train.types))
        data = self._training_set(builder, train, labels)
        schedule = Schedule.of(flags, len(data.features))
        head = TaggingHead(len(labels), crf=tagging.head == "crf")
        dev_windows = windows_of(builder, dev) if dev else []

        def evaluate(model: BertModel, progress: Progress) -> dict[str, Any]:
            assert dev is not None
            return self._scores(dev, dev_windows, _predict(model, labels, dev_windows, flags.eval_batch_size, progress))

        names = [*encoder_shapes(start.config), *head.shapes(start.config)]
        recipe = Recipe(
            task=self._task,
            head=head,
            labels=labels,
            data=data,
            plan=Plan(
                schedule,
                flags.train_batch_size,
                flags.seed,
                METRIC,
                part_steps=int(len(data.features) / flags.train_batch_size * tagging.freeze_epochs),
                patience=tagging.early_stopping,
            ),
            evaluate=evaluate if dev else None,
            rate_factors=tagging.rate_factors(names, start.config, flags.learning_rate),
            is_trained_first=tagging.is_trained_first(start.config),
            head_options={
                "crf": head.crf,
                "id2label": {str(index): label for index, label in enumerate(labels)},
                "label2id": {label: index for index, label in enumerate(labels)},
            },
            flags=tagging.record(),
            development_checksum=checksum((e.text, e.units, e.spans) for e in dev.examples) if dev else None,
        )
        result, self._metrics["train"] = fine_tune(flags, start, recipe)
        return result.exit_status

    def _training_set(self, builder: WindowBuilder, train: TaggedTexts, labels: Sequence[str]) -> TrainingSet:
        examples = list(train.examples)
        generator = np.random.default_rng(self._flags.seed)
        for _ in range(self._tagging.augment):
            examples += replace_entities(train.examples, generator, SWAP_PROBABILITY)
        texts = replace(train, examples=examples)
        return TrainingSet(*training_rows(texts, windows_of(builder, texts), labels))

    def _read_training(self) -> tuple[TaggedTexts, TaggedTexts | None]:
        """The training data, and what is held out of it as development data."""
        path = find_training_file(self._flags.data_dir, self._tagging.train_file)
        train = read_examples(path, self._tagging.format, self._bad_rows(), training=True)
        if not train.types:
            raise BertFtError(f"{path}: no text has an entity; there is nothing to learn")
        if self._dev_file() is not None or not self._tagging.holdout:
            return train, None
        order = np.random.default_rng(self._flags.seed).permutation(len(train.examples))
        count = max(1, round(len(order) * self._tagging.holdout))
        held, kept = ([train.examples[i] for i in sorted(part)] for part in (order[:count], order[count:]))
        logger.info("%s: %d texts held out as development data", path, count)
        return replace(train, examples=kept), replace(train, examples=held)

    def _read_dev(self, held_out: TaggedTexts | None) -> TaggedTexts:
        """The development data, from its file or held out of the training data."""
        path = self._dev_file()
        if path is None:
            if held_out is None:
                raise BertFtError(
                    f"{self._flags.data_dir}: has no development data; name it with --dev_file, hold some out of the "
                    "training data with --holdout=0.1, or give --do_train alone"
                )
            return held_out
        dev = read_examples(path, self._tagging.format, self._bad_rows(), training=False)
        if not dev.labelled:
            raise BertFtError(f"{path}: the development data has no labels")
        return dev

    def _dev_file(self) -> Path | None:
        return find_split(self._flags.data_dir, "dev", self._tagging.dev_file)

    def _bad_rows(self) -> BadRows:
        return BadRows.parse(self._flags.on_bad_row)

    def _score(self, test: Path | None) -> None:
        flags = self._flags
        start, model, metadata = open_trained(flags, TaggingHead.name)
        check_length(flags, start)
        builder = WindowBuilder(start.tokenizer, flags.max_seq_length)
        if flags.do_eval:
            dev = self._read_dev(None if self._dev_file() else self._read_training()[1])
            scores = self._score_split("dev", model, builder, metadata.labels, dev)
            assert scores is not None
            values = {f"eval_{key}": value for key, value in scores.items() if isinstance(value, float)}
            step = int(metadata.metrics.get("step", 0))
            write_eval_results(flags.output_dir / "eval_results.txt", {**values, "global_step": step})
        if flags.do_predict:
            assert test is not None
            texts = read_examples(test, self._tagging.format, self._bad_rows(), training=False)
            self._score_split("test", model, builder, metadata.labels, texts)
        write_json(flags.output_dir / "metrics.json", self._metrics)

    def _score_split(
        self, name: str, model: BertModel, builder: WindowBuilder, labels: list[str], texts: TaggedTexts
    ) -> dict[str, Any] | None:
        """Write the predictions of a split, and its scores if it has labels."""
        windowed = windows_of(builder, texts)
        with watched_bar(sum(len(text.windows) for text in windowed), "window", "predicting") as progress:
            predicted = _predict(model, labels, windowed, self._flags.predict_batch_size, progress)
        predictions = [
            Prediction(example.text, text.units, example.spans if texts.labelled else None, *found)
            for example, text, found in zip(texts.examples, windowed, predicted, strict=True)
        ]
        write_conll(self._flags.output_dir / f"{name}_predictions.conll", predictions)
        write_json_lines(self._flags.output_dir / f"{name}_predictions.jsonl", predictions)
        if not texts.labelled:
            return None
        scores = self._metrics[name] = self._scores(texts, windowed, predicted)
        print(_report(texts.path, scores))
        return scores

    def _scores(
        self, texts: TaggedTexts, windowed: Sequence[WindowedText], predicted: Sequence[_Found]
    ) -> dict[str, Any]:
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


_Found = tuple[list[Span], list[float]]


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
