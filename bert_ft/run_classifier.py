"""``python -m bert_ft.run_classifier``: Google's run_classifier.py by its flags, on packed batches."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

from bert_ft.flags.task import task_command
from bert_ft.tasks.table import CLASSIFICATION

main = task_command(CLASSIFICATION)

if __name__ == "__main__":
    main()
