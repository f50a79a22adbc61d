"""The model and its training: read and write Google BERT checkpoints, fine-tune them, encode with them."""

__version__ = "0.1.0"
