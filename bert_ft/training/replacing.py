"""Whether a training may replace the model that its output directory holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_ft.checkpoint.overwrite import find_model
from bert_ft.errors import BertFtError

_NOT_COMPARED = {
    "output_dir",
    "do_train",
    "do_predict",
    "eval_batch_size",
    "predict_batch_size",
    "save_checkpoints_steps",
    "test_file",
}
"""They do not change what is learned."""
_NAMED = 3


def refuse_foreign_model(output_dir: Path, command: Mapping[str, Any]) -> None:
    """See that the directory holds no model but one that this very command made, which may make it anew.

    Args:
        command: the flags of the training, as bert_ft.json records them.

    Raises:
        BertFtError: it holds another, and says which.
    """
    found = find_model(output_dir)
    if found is None:
        return
    recorded = found.metadata.flags if found.metadata else {}
    names = [*command, *(name for name in recorded if name not in command)]
    other = [name for name in names if name not in _NOT_COMPARED and recorded.get(name) != command.get(name)]
    if not other:
        return
    how = "another command"
    if recorded.get("task_name") not in (None, command["task_name"]):
        how = "a command with another --task_name"
    elif recorded:
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        how = f"a command with another {', '.join(f'--{name}' for name in other[:_NAMED])}{more}"
    raise BertFtError(
        f"{output_dir}: holds a model ({found.description}) made by {how}; "
        "give --overwrite to replace it, or another --output_dir"
    )
