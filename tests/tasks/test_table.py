"""Which family a task belongs to, and what bert-ft-train makes of a command line."""

from __future__ import annotations

import doctest
from dataclasses import MISSING, fields

import click
import pytest

from bert_ft import run_classifier, run_ner
from bert_ft.commands.train import main
from bert_ft.tasks import table
from bert_ft.tasks import train as training
from bert_ft.tasks.classification.options import ClassificationOptions
from bert_ft.tasks.table import CLASSIFICATION, TAGGING, Family, family_of
from bert_ft.tasks.tagging.examples import FORMATS
from bert_ft.tasks.tagging.options import TaggingOptions
from bert_ft.training import options as training_options
from bert_ft.training.options import TrainingOptions
from bert_ft.training.task_run import TaskRun


@pytest.mark.parametrize("family", [CLASSIFICATION, TAGGING])
def test_a_family_is_made_of_classes_that_are_there(family: Family) -> None:
    assert issubclass(family.run_class(), TaskRun)
    assert {one.name for one in fields(family.options_class())} > {"task_name", "data_dir"}


def test_the_family_of_a_task() -> None:
    assert [family_of(name) for name in ("ner", "NER")] == [TAGGING] * 2
    assert [family_of(name) for name in ("emotion", "tsv", "other", "")] == [CLASSIFICATION] * 4


@pytest.mark.parametrize(
    ("arguments", "family"),
    [
        (["--task_name=ner"], "tag the entities"),
        (["-task-name", "NER"], "tag the entities"),
        (["--ta=ner"], "tag the entities"),
        (["--head", "crf", "--holdout=0.1", "--task_n", "ner"], "tag the entities"),
        (["--task_name=emotion", "--task_name=ner"], "tag the entities"),
        (["--output_dir=--task_name=ner"], "classify texts"),
        (["--task_name=emotion"], "classify texts"),
        (["--task_name=ner", "--task_name", "emotion"], "classify texts"),
        ([], "classify texts"),
    ],
)
def test_the_task_is_found_on_any_command_line(
    arguments: list[str], family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else it holds, such as options that classification does not have."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: bert-ft-train [OPTIONS]")
    assert f" {family} " in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: Missing option '--task_name'."),
        (["--task_name"], "error: option --task_name needs a value"),
        (["--task_name=nre"], "error: Invalid value: task_name 'nre' is not one of emotion, "),
        (["--task_name=ner", "--label_column=1"], "error: no such option --label_column"),
        (["--task_name=emotion", "--holdout=0.1"], "error: no such option --holdout"),
        (["--t=ner"], "error: option --t is ambiguous; it could be --task_name, --train_batch_size"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(line)
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "options"), [(run_classifier.main, ClassificationOptions), (run_ner.main, TaggingOptions)]
)
def test_a_command_has_the_options_of_its_dataclass_and_their_defaults(
    command: click.Command, options: type[TrainingOptions]
) -> None:
    params = {param.name: param.default for param in command.params}
    assert list(params) == [one.name for one in fields(options)]
    for one in fields(options):
        if one.default not in (MISSING, None, False):
            assert params[one.name] == one.default


def test_the_formats_are_those_that_are_read() -> None:
    (field,) = (one for one in fields(TaggingOptions) if one.name == "format")
    assert field.metadata["kind"].names == FORMATS


def test_examples_in_docstrings() -> None:
    assert [doctest.testmod(module) for module in (table, training, training_options)] == [(0, 1), (0, 1), (0, 2)]
