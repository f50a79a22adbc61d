"""Ten training steps beside Google's own code: same start, batches and order, no dropout, the same activation.

Usage: python benchmarks/training_parity.py --legacy_python PYTHON37 [--train_file data/fine_tuning_train_data.tsv]

PYTHON37 is an interpreter with TensorFlow 1.15 and bert-tensorflow 1.0.4. Prints the largest differences of losses
(relative) and weights (absolute) and how far the weights moved; exit status 1 beyond 1e-4 or 1e-5.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.directory import ModelMetadata
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.save import save_model_directory
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.data.rows import BadRows
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.trainable import BertModel
from bert_ft.tasks.classification.examples import read_training_split
from bert_ft.tasks.classification.files import Columns, custom_task
from bert_ft.text.inputs import InputBuilder
from bert_ft.text.tokenizer import FullTokenizer
from bert_ft.text.vocab import Vocab
from bert_ft.training.sampler import ShuffledOrder
from bert_ft.training.schedule import Schedule
from bert_ft.training.step import Trainer

ROOT = Path(__file__).resolve().parent.parent
STEPS, BATCH, LENGTH, SEED = 10, 32, 48, 7


def main() -> int:
    arguments = _arguments()
    vocab_file = Path(arguments.vocab_file)
    vocab = Vocab.load(vocab_file)
    config = BertConfig(
        len(vocab), hidden_size=arguments.hidden, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=4 * arguments.hidden, hidden_act="gelu_tanh", type_vocab_size=2,
    )  # fmt: skip
    train_file = Path(arguments.train_file)
    files = custom_task(train_file.name, "", "", Columns(text_a=1, label=0))
    train, labels = read_training_split(train_file.parent, files, None, BadRows())
    features = InputBuilder(FullTokenizer(vocab), LENGTH).pairs(train.pairs)
    head = ClassificationHead(len(labels))
    weights = initialize(encoder_shapes(config) | head.shapes(config), config.initializer_range, SEED)
    schedule = Schedule(arguments.learning_rate, STEPS, STEPS // 10)
    order = ShuffledOrder(len(features), BATCH, SEED)

    with tempfile.TemporaryDirectory() as work:
        metadata = ModelMetadata("parity", head.name, labels, LENGTH, True)
        save_model_directory(Path(work, "start"), weights, config, vocab_file, metadata)
        # Google's "gelu" is the tanh form
        Path(work, "google_config.json").write_text(json.dumps(asdict(replace(config, hidden_act="gelu"))))
        _write_batches(Path(work), features, train.label_ids, order, schedule, len(labels))
        legacy = Path(__file__).parent / "legacy" / "train_google.py"
        done = subprocess.run([arguments.legacy_python, str(legacy), work], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return done.returncode
        google = dict(np.load(Path(work, "google.npz")))

    model = BertModel(config, head, weights)
    trainer = Trainer(model, SEED, with_dropout=False)
    losses = [
        trainer.step(s, schedule.rate(s), [features[i] for i in order.batch(s)], train.label_ids[order.batch(s)])
        for s in range(STEPS)
    ]
    ours = {name: variable.numpy() for name, variable in model.variables.items()}
    loss_difference = float(np.max(np.abs(np.array(losses) - google["losses"]) / google["losses"]))
    weight_difference = max(float(np.abs(ours[name] - google[name]).max()) for name in ours)
    moved = max(float(np.abs(ours[name] - weights[name]).max()) for name in ours)
    print(f"losses, ours    {' '.join(f'{loss:.6f}' for loss in losses)}")
    print(f"losses, Google  {' '.join(f'{loss:.6f}' for loss in google['losses'])}")
    print(f"largest relative difference of a loss   {loss_difference:.2e} (limit 1e-4)")
    print(
        f"largest absolute difference of a weight {weight_difference:.2e} (limit 1e-5; weights moved up to {moved:.2e})"
    )
    return int(loss_difference > 1e-4 or weight_difference > 1e-5)


def _write_batches(work, features, label_ids, order, schedule, num_labels) -> None:
    plan = {
        "max_seq_length": LENGTH, "num_labels": num_labels, "rate": schedule.peak,
        "steps": schedule.total_steps, "warmup_steps": schedule.warmup_steps,
    }  # fmt: skip
    arrays = {"plan": np.array(json.dumps(plan))}
    for step in range(STEPS):
        chosen = order.batch(step)
        ids, mask, segments = (np.zeros((BATCH, LENGTH), np.int32) for _ in range(3))
        for row, index in enumerate(chosen):
            length = len(features[index].ids)
            ids[row, :length] = features[index].ids
            segments[row, :length] = features[index].segments
            mask[row, :length] = 1
        named = {"ids": ids, "mask": mask, "segments": segments, "labels": label_ids[chosen]}
        arrays |= {f"{name}_{step}": array for name, array in named.items()}
    np.savez(work / "batches.npz", **arrays)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legacy_python", required=True)
    parser.add_argument("--train_file", default=str(ROOT / "data/fine_tuning_train_data.tsv"))
    parser.add_argument("--vocab_file", default=str(ROOT / "data/vocab.txt"))
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
