"""``python -m bert_ft.run_ner``: fine-tune a Google BERT checkpoint to find entities."""

from __future__ import annotations

if __name__ == "__main__":
    from bert_ft.startup import begin

    begin()

from bert_ft.flags.task import task_command
from bert_ft.tasks.table import TAGGING

main = task_command(TAGGING)

if __name__ == "__main__":
    main()
