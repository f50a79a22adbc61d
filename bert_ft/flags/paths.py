"""Paths on command lines, and whether a model that stands at one is replaced."""

from __future__ import annotations

from pathlib import Path

import click

from bert_ft.flags.legacy import GivenPath

PATH = GivenPath(path_type=Path)
FILE = GivenPath()
"""A file's name as it was typed, since ``-`` may stand for standard input or output."""
overwrite_option = click.option(
    "--overwrite",
    type=bool,
    is_flag=False,
    flag_value="true",
    default=False,
    help="Replace a model that OUTPUT holds.",
)
