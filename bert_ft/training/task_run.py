"""One run of a task: checks, training, scoring, prediction, whatever the task."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from bert_ft.data.rows import BadRows
from bert_ft.files.lock import locked_output
from bert_ft.training.fine_tune import Recipe, Trained, fine_tune, open_trained, starting_point
from bert_ft.training.options import TrainingOptions
from bert_ft.training.result_files import write_eval_results, write_json
from bert_ft.training.starting_point import StartingPoint

Options = TypeVar("Options", bound=TrainingOptions)


class TaskRun(abc.ABC, Generic[Options]):
    """What the options ask, done once; a family of tasks says how its data are read and scored.

    Args:
        say: takes the scores as text for a person.

    Attributes:
        metrics: JSON values by name; those of metrics.json, which is written when something was scored.
    """

    head_name: ClassVar[str]
    """Of the heads that these tasks train."""

    def __init__(self, options: Options, say: Callable[[str], object] = print) -> None:
        self.options = options
        self.metrics: dict[str, Any] = {"task": options.task_name}
        self._say = say

    def run(self) -> int:
        """Do what the do_ options ask.

        Returns:
            the exit status: 0, or other than 0 when a signal ended the training; see :class:`FitResult`.

        Raises:
            BertFtError: options, data or checkpoint do not fit, or another training is at work in the output directory.
            KeyboardInterrupt: a signal came while the trained model was scored.
        """
        options = self.options
        self._check()
        if not options.do_train:
            self._score()
            return 0
        with locked_output(options.output_dir):
            start = starting_point(options)
            result, self.metrics["train"] = fine_tune(options, start, self._recipe(start))
            if result.exit_status == 0 and (options.do_eval or options.do_predict):
                self._score()
        return result.exit_status

    def _score(self) -> None:
        folder = self.options.output_dir
        trained = open_trained(self.options, self.head_name)
        if self.options.do_eval:
            step = int(trained.metadata.metrics.get("step", 0))
            write_eval_results(folder / "eval_results.txt", {**self._score_dev(trained), "global_step": step})
        if self.options.do_predict:
            self._score_test(trained)
        write_json(folder / "metrics.json", self.metrics)

    def _bad_rows(self) -> BadRows:
        """For the reading of one file."""
        return BadRows.parse(self.options.on_bad_row)

    @abc.abstractmethod
    def _check(self) -> None:
        """Raises BertFtError where it can be seen at once that something cannot be done."""

    @abc.abstractmethod
    def _recipe(self, start: StartingPoint) -> Recipe:
        """Reads the data and says how to train on them."""

    @abc.abstractmethod
    def _score_dev(self, trained: Trained) -> Mapping[str, float]:
        """Scores the development data into ``metrics["dev"]``; returns the values of eval_results.txt."""

    @abc.abstractmethod
    def _score_test(self, trained: Trained) -> None:
        """Writes predictions for the test data, and scores them into ``metrics["test"]`` if they have labels."""
