"""``python -m bert_ft``: the same as ``bert-ft``."""

from bert_ft.commands.entry import main

if __name__ == "__main__":
    main()
