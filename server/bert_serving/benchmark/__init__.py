"""The command bert-serving-benchmark: start a server, load it, say what it gave and what it cost."""
