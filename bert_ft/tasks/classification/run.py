"""Fine-tune, evaluate and predict for a classification task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.data.checksum import checksum
from bert_ft.errors import BertFtError
from bert_ft.inference.logits import logits_in_parts
from bert_ft.logs import Progress
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.trainable import BertModel
from bert_ft.numerics import softmax
from bert_ft.shown import first_of
from bert_ft.signals import watched_bar
from bert_ft.tasks.classification.examples import LabelledTexts, read_split, read_training_split
from bert_ft.tasks.classification.options import ClassificationOptions
from bert_ft.tasks.classification.tally import ClassificationTally
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.training.fine_tune import Recipe, Trained
from bert_ft.training.loop import TrainingSet
from bert_ft.training.result_files import write_test_results
from bert_ft.training.starting_point import StartingPoint
from bert_ft.training.task_run import TaskRun

logger = logging.getLogger(__name__)

METRIC = "accuracy"


class ClassificationRun(TaskRun[ClassificationOptions]):
    """One call of run_classifier."""

    head_name = ClassificationHead.name

    def _check(self) -> None:
        if self.options.do_predict and not self.options.files.test:
            raise BertFtError(f"task {self.options.task_name} has no test file; leave out --do_predict")

    def _recipe(self, start: StartingPoint) -> Recipe:
        options = self.options
        inputs = InputBuilder(start.tokenizer, options.max_seq_length)
        train, labels = read_training_split(options.data_dir, options.files, options.labels, self._bad_rows())
        assert train.label_ids is not None
        dev = self._read_dev(labels) if options.do_eval else None
        logger.info("%s: %d examples, %d labels", train.path, len(train.examples), len(labels))
        dev_features = _features(inputs, dev) if dev else []

        def evaluate(model: BertModel, progress: Progress) -> dict[str, Any]:
            assert dev is not None
            assert dev.label_ids is not None
            return _tally(model, dev_features, dev.label_ids, labels, options.eval_batch_size, progress).scores()

        sources = [f"{train.path.name}:{example.line}" for example in train.examples]
        return Recipe(
            head=ClassificationHead(len(labels)),
            labels=labels,
            data=TrainingSet(_features(inputs, train), list(train.label_ids[:, None]), sources),
            evaluate=evaluate if dev else None,
            metric=METRIC,
            development_checksum=checksum(e[:-1] for e in dev.examples) if dev else None,
        )

    def _score_dev(self, trained: Trained) -> dict[str, float]:
        options, labels = self.options, trained.metadata.labels
        dev = self._read_dev(labels)
        assert dev.label_ids is not None
        features = _features(InputBuilder(trained.tokenizer, options.max_seq_length), dev)
        tally = _tally(trained.model, features, dev.label_ids, labels, options.eval_batch_size)
        scores = self._add_scores("dev", dev.path, tally)
        return {"eval_accuracy": scores["accuracy"], "eval_loss": scores["loss"], "loss": scores["loss"]}

    def _score_test(self, trained: Trained) -> None:
        options, labels = self.options, trained.metadata.labels
        test = read_split(options.data_dir, options.files.test, labels, self._bad_rows())
        features = _features(InputBuilder(trained.tokenizer, options.max_seq_length), test)
        tally = None if test.label_ids is None else ClassificationTally(test.label_ids, labels)
        path = options.output_dir / "test_results.tsv"
        with watched_bar(len(features), "text", "predicting") as progress:
            parts = logits_in_parts(trained.model, features, options.predict_batch_size, progress)
            write_test_results(path, _probabilities(parts, tally))
        logger.info("%s: probabilities of %d texts, columns %s", path, len(features), first_of(labels, " | "))
        if tally is not None:
            self._add_scores("test", test.path, tally)

    def _add_scores(self, split: str, path: Path, tally: ClassificationTally) -> dict[str, float]:
        scores = tally.scores()
        self.metrics[split] = scores | tally.details()
        self._say(_report(path, scores))
        return scores

    def _read_dev(self, labels: Sequence[str]) -> LabelledTexts:
        dev = read_split(self.options.data_dir, self.options.files.dev, labels, self._bad_rows())
        if dev.label_ids is None:
            raise BertFtError(f"{dev.path}: the development data has no labels")
        return dev


def _features(inputs: InputBuilder, texts: LabelledTexts) -> list[InputFeatures]:
    features = inputs.pairs(texts.pairs)
    cut = sum(feature.truncated for feature in features)
    if cut:
        logger.warning("%s: %d of %d texts are cut to --max_seq_length", texts.path, cut, len(features))
    return features


def _tally(
    model: BertModel,
    features: list[InputFeatures],
    label_ids: np.ndarray,
    labels: Sequence[str],
    batch_size: int,
    progress: Progress | None = None,
) -> ClassificationTally:
    tally = ClassificationTally(label_ids, labels)
    for logits in logits_in_parts(model, features, batch_size, progress):
        tally.add(logits)
    return tally


def _probabilities(parts: Iterable[np.ndarray], tally: ClassificationTally | None) -> Iterator[np.ndarray]:
    """float64 [num_labels] of each text; the tally hears of the logits on the way."""
    for logits in parts:
        if tally is not None:
            tally.add(logits)
        yield from softmax(logits.astype(np.float64))


def _report(path: Path, scores: Mapping[str, float]) -> str:
    return (
        f"{path.name}: accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}, "
        f"weighted F1 {scores['weighted_f1']:.4f}, loss {scores['loss']:.4f}"
    )
