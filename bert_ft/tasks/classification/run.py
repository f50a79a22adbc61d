"""Fine-tune, evaluate and predict for a classification task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.data.checksum import checksum
from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.files.lock import locked_output
from bert_ft.inference.logits import logits_in_parts
from bert_ft.logs import Progress
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.trainable import BertModel
from bert_ft.numerics import softmax
from bert_ft.shown import first_of
from bert_ft.signals import watched_bar
from bert_ft.tasks.classification.examples import LabelledTexts, read_split, read_training_split
from bert_ft.tasks.classification.files import TaskFiles
from bert_ft.tasks.classification.tally import ClassificationTally
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.packing import InputFeatures
from bert_ft.training.fine_tune import Recipe, check_length, fine_tune, open_trained, starting_point
from bert_ft.training.loop import Plan, TrainingSet
from bert_ft.training.options import TrainingFlags
from bert_ft.training.result_files import write_eval_results, write_json, write_test_results
from bert_ft.training.schedule import Schedule

logger = logging.getLogger(__name__)

METRIC = "accuracy"


class ClassificationRun:
    """One call of run_classifier.

    Args:
        task: name of the task, as recorded in bert_ft.json.
        labels: class names in id order, or None for the task's or the data's.
        file_flags: the flags that ``files`` came from, for bert_ft.json.
    """

    def __init__(
        self,
        task: str,
        files: TaskFiles,
        labels: Sequence[str] | None,
        flags: TrainingFlags,
        file_flags: Mapping[str, Any],
    ) -> None:
        self._task = task
        self._files = files
        self._labels = list(labels) if labels else None
        self._flags = flags
        self._own_flags = {"labels": self._labels, **file_flags}
        self._bad_rows = BadRows.parse(flags.on_bad_row)
        self._metrics: dict[str, Any] = {"task": task}

    def run(self) -> int:
        """Do what the --do_ flags ask; returns the exit status, other than 0 when a signal ended the training."""
        if self._flags.do_predict and not self._files.test:
            raise BertFtError(f"task {self._task} has no test file; leave out --do_predict")
        if not self._flags.do_train:
            self._score()
            return 0
        with locked_output(self._flags.output_dir):
            status = self._train()
            if status == 0 and (self._flags.do_eval or self._flags.do_predict):
                self._score()
        return status

    def _train(self) -> int:
        flags = self._flags
        start = starting_point(flags, self._task, self._own_flags)
        inputs = InputBuilder(start.tokenizer, flags.max_seq_length)
        train, labels = read_training_split(flags.data_dir, self._files, self._labels, self._bad_rows)
        assert train.label_ids is not None
        dev = self._read_dev(labels) if flags.do_eval else None
        schedule = Schedule.of(flags, len(train.examples))
        logger.info("%s: %d examples, %d labels", train.path, len(train.examples), len(labels))
        dev_features = _features(inputs, dev) if dev else []

        def evaluate(model: BertModel, progress: Progress) -> dict[str, Any]:
            assert dev is not None
            assert dev.label_ids is not None
            return _tally(model, dev_features, dev.label_ids, labels, flags.eval_batch_size, progress).scores()

        sources = [f"{train.path.name}:{example.line}" for example in train.examples]
        recipe = Recipe(
            task=self._task,
            head=ClassificationHead(len(labels)),
            labels=labels,
            data=TrainingSet(_features(inputs, train), list(train.label_ids[:, None]), sources),
            plan=Plan(schedule, flags.train_batch_size, flags.seed, METRIC),
            evaluate=evaluate if dev else None,
            flags=self._own_flags,
            development_checksum=checksum(e[:-1] for e in dev.examples) if dev else None,
        )
        result, self._metrics["train"] = fine_tune(flags, start, recipe)
        return result.exit_status

    def _score(self) -> None:
        flags = self._flags
        start, model, metadata = open_trained(flags, ClassificationHead.name)
        check_length(flags, start)
        inputs = InputBuilder(start.tokenizer, flags.max_seq_length)
        if flags.do_eval:
            self._score_dev(model, inputs, metadata.labels, int(metadata.metrics.get("step", 0)))
        if flags.do_predict:
            self._score_test(model, inputs, metadata.labels)
        write_json(flags.output_dir / "metrics.json", self._metrics)

    def _score_dev(self, model: BertModel, inputs: InputBuilder, labels: list[str], step: int) -> None:
        dev = self._read_dev(labels)
        assert dev.label_ids is not None
        tally = _tally(model, _features(inputs, dev), dev.label_ids, labels, self._flags.eval_batch_size)
        scores = tally.scores()
        self._metrics["dev"] = scores | tally.details()
        values = {"eval_accuracy": scores["accuracy"], "eval_loss": scores["loss"], "loss": scores["loss"]}
        write_eval_results(self._flags.output_dir / "eval_results.txt", {**values, "global_step": step})
        _print_scores(dev.path, scores)

    def _score_test(self, model: BertModel, inputs: InputBuilder, labels: list[str]) -> None:
        test = read_split(self._flags.data_dir, self._files.test, labels, self._bad_rows)
        features = _features(inputs, test)
        tally = None if test.label_ids is None else ClassificationTally(test.label_ids, labels)
        path = self._flags.output_dir / "test_results.tsv"
        with watched_bar(len(features), "text", "predicting") as progress:
            parts = logits_in_parts(model, features, self._flags.predict_batch_size, progress)
            write_test_results(path, _probabilities(parts, tally))
        logger.info("%s: probabilities of %d texts, columns %s", path, len(features), first_of(labels, " | "))
        if tally is not None:
            scores = tally.scores()
            self._metrics["test"] = scores | tally.details()
            _print_scores(test.path, scores)

    def _read_dev(self, labels: Sequence[str]) -> LabelledTexts:
        dev = read_split(self._flags.data_dir, self._files.dev, labels, self._bad_rows)
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


def _print_scores(path: Path, scores: dict[str, Any]) -> None:
    print(
        f"{path.name}: accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}, "
        f"weighted F1 {scores['weighted_f1']:.4f}, loss {scores['loss']:.4f}"
    )
