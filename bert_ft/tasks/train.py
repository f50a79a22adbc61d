"""Training from Python: what the command does, with the same options."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bert_ft.logs import messages_on_stderr
from bert_ft.tasks.table import family_of
from bert_ft.training.kinds import OptionError


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training.

    Attributes:
        output_dir: the model directory.
        status: 0, or 130 when Ctrl-C and 143 when SIGTERM ended the training early; everything is saved then, and the
            same call with ``resume=True`` goes on.
        metrics: JSON values; those of metrics.json.
    """

    output_dir: Path
    status: int
    metrics: dict[str, Any]


def train(task_name: str, *, quiet: bool = False, **options: Any) -> TrainingResult:
    """Fine-tune, evaluate and predict as ``bert-ft-train --task_name=…`` does.

    Ctrl-C and SIGTERM end it after the step under way if it is called in the main thread; in another thread signals are
    left alone.

    Args:
        task_name: "emotion", "tsv", "ner" …
        quiet: no progress and no scores, only warnings.
        options: by the names of the command's flags and with their defaults, see :class:`TrainingOptions`. Paths may be
            str or Path, ``labels`` is a list.

    Raises:
        BertFtError: whatever the command would say in one line.
        KeyboardInterrupt: Ctrl-C or SIGTERM while the trained model was scored.

    Example:
        >>> train("tsv", lerning_rate=1e-4)
        Traceback (most recent call last):
        bert_ft.training.kinds.OptionError: task tsv has no option lerning_rate; did you mean learning_rate?
    """
    family = family_of(str(task_name))
    kind = family.options_class()
    known = [one.name for one in fields(kind)]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise OptionError(f"task {task_name} has no option {name}; {hint}")
    given = kind(task_name=task_name, **options)
    with messages_on_stderr(quiet):
        run = family.run_class()(given, (lambda text: None) if quiet else print)
        status = run.run()
    return TrainingResult(given.output_dir, status, run.metrics)
