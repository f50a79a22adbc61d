"""Numbers on the command lines: what no training can use is one line that names the range, and exit status 2."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from bert_ft import run_classifier, run_ner
from bert_ft.commands import main as cli
from bert_ft.flags.legacy import LegacyCommand
from bert_ft.flags.ranges import SEED, Between

LONG = "12345678901234567890"
COMMANDS = {
    "run_classifier": (run_classifier.main, ["--task_name=emotion", "--data_dir=nowhere"]),
    "run_ner": (run_ner.main, ["--data_dir=nowhere"]),
    "new-checkpoint": (cli.main, ["new-checkpoint", "out", "--vocab_file=none"]),
    "predict": (cli.main, ["predict", "--model_dir=none", "--input=none", "--output=none"]),
    "evaluate-sts": (cli.main, ["evaluate-sts", "--model_dir=none", "--file=none"]),
}
SHARED = [
    (f"--seed={LONG}", "0<=x<=9223372036854775807"),
    ("--seed=-1", "0<=x<=9223372036854775807"),
    (f"--max_seq_length={LONG}", "1<=x<=2147483647"),
    (f"--train_batch_size={LONG}", "1<=x<=2147483647"),
    (f"--save_checkpoints_steps={LONG}", "1<=x<=2147483647"),
    ("--num_train_epochs=1e300", "0<x<=1000000"),
    ("--num_train_epochs=nan", "0<x<=1000000"),
    ("--num_train_epochs=0", "0<x<=1000000"),
    ("--learning_rate=nan", "0<x<=1000"),
    ("--learning_rate=inf", "0<x<=1000"),
    ("--warmup_proportion=nan", "0<=x<=1"),
]
OWN = [
    ("run_ner", "--layer_decay=nan", "0<x<=1"),
    ("run_ner", "--freeze_epochs=inf", "0<=x<=1000000"),
    ("run_ner", "--holdout=nan", "0<=x<1"),
    ("run_ner", "--crf_learning_rate=-inf", "0<x<=1000"),
    ("run_ner", "--head_learning_rate=nan", "0<x<=1000"),
    ("run_ner", f"--augment={LONG}", "0<=x<=1000"),
    ("run_ner", f"--early_stopping={LONG}", "1<=x<=2147483647"),
    ("new-checkpoint", f"--seed={LONG}", "0<=x<=9223372036854775807"),
    ("predict", f"--batch_size={LONG}", "1<=x<=2147483647"),
    ("evaluate-sts", f"--batch_size={LONG}", "1<=x<=2147483647"),
]


@pytest.mark.parametrize(
    ("command", "flag", "bounds"),
    [*((name, *case) for name in ("run_classifier", "run_ner") for case in SHARED), *OWN],
)
def test_a_number_out_of_range_is_one_line(command: str, flag: str, bounds: str) -> None:
    main, arguments = COMMANDS[command]
    done = CliRunner().invoke(main, [*arguments, flag])
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: Invalid value for '{flag.partition('=')[0]}':")
    assert line.endswith(f"is not in the range {bounds}.")


@click.command(cls=LegacyCommand)
@click.option("--rate", type=Between(-1, 1))
@click.option("--seed", type=SEED)
def command(**values: object) -> None:
    click.echo(repr(values))


def test_the_ends_of_a_range_belong_to_it() -> None:
    assert CliRunner().invoke(command, ["--rate=-1", f"--seed={2**63 - 1}"]).exit_code == 0
    assert CliRunner().invoke(command, [f"--seed={2**63}"]).exit_code == 2
