"""The whole road once, on the data that the project carries: fine-tune, serve, encode, tag. Run by ``make demo``."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bert_serving.client import BertClient

ROOT = Path(__file__).resolve().parent
OUTPUT = ROOT / "demo-output"
CHECKPOINT, MODEL, NER_MODEL = OUTPUT / "checkpoint", OUTPUT / "model", OUTPUT / "ner_model"
COMMANDS = Path(sys.executable).parent
SENTENCES = [
    "今天真开心",
    "收到礼物太高兴了",
    "排队三小时，气死我了",
    "这家餐厅的服务让人恼火",
    "半夜听见脚步声，好害怕",
]
TAGGED = ["周雨晴上周从成都搬到了杭州。", "听说陈志远要去海川市第一医院上班了！"]


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    print("A small checkpoint in Google's layout with random weights (put a real one here for real use):")
    run(
        f"bert-ft new-checkpoint {CHECKPOINT} --vocab_file={ROOT}/data/vocab.txt "
        "--num_hidden_layers=2 --hidden_size=128 --initializer_range=0.1"
    )
    print("\nFine-tuned on data/, scored on its validation and test sentences:")
    run(
        "bert-ft-train --task_name=emotion --do_train=true --do_eval=true --do_predict=true "
        f"--data_dir={ROOT}/data --init_checkpoint={CHECKPOINT}/bert_model.ckpt --max_seq_length=64 "
        f"--train_batch_size=16 --learning_rate=5e-4 --num_train_epochs=20 --output_dir={MODEL}"
    )
    print("\nServed and encoded:")
    with serving(MODEL) as client:
        vectors = client.encode(SENTENCES)
    print("\nFine-tuned to find entities on data/ner, served, and asked for tags:")
    run(
        f"bert-ft-train --task_name=ner --head=crf --data_dir={ROOT}/data/ner "
        f"--init_checkpoint={CHECKPOINT}/bert_model.ckpt --max_seq_length=64 --train_batch_size=16 "
        f"--learning_rate=5e-4 --crf_learning_rate=3e-2 --num_train_epochs=10 --output_dir={NER_MODEL}"
    )
    with serving(NER_MODEL) as client:
        entities = client.tag(TAGGED)
    report(vectors)
    for text, found in zip(TAGGED, entities, strict=True):
        print(text, " ".join(f"{e.type}:{e.text}[{e.start}:{e.end}] {e.score:.2f}" for e in found) or "no entity")


def report(vectors: np.ndarray) -> None:
    scores = json.loads((MODEL / "metrics.json").read_text(encoding="utf-8"))
    print()
    for split in ("dev", "test"):
        print(f"{split:<4} accuracy {scores[split]['accuracy']:.3f}, macro F1 {scores[split]['macro_f1']:.3f}")
    print(f"five sentences encoded: shape {vectors.shape}, {vectors.dtype}")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.triu(unit @ unit.T, k=1)
    first, second = np.unravel_index(cosines.argmax(), cosines.shape)
    print(f"most similar: {SENTENCES[first]} | {SENTENCES[second]} (cosine {cosines[first, second]:.3f})")


def run(line: str) -> None:
    print(f"$ {line}", flush=True)
    subprocess.run(command(line), check=True)


@contextlib.contextmanager
def serving(model_dir: Path) -> Iterator[BertClient]:
    """Start a server and wait until it is ready; at the end of the block stop it and wait until it has."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, port_out = first.getsockname()[1], second.getsockname()[1]
    ports = f"-port {port} -port_out {port_out}"
    line = f"bert-serving-start -model_dir {model_dir} {ports}"
    print(f"$ {line} &", flush=True)
    process = subprocess.Popen(command(line), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = []
    for text in process.stdout:
        lines.append(text)
        if "all set, ready to serve request!" in text:
            print(text, end="", flush=True)
            break
    else:
        sys.exit("the server did not start:\n" + "".join(lines))
    try:
        with BertClient(port=port, port_out=port_out) as client:
            yield client
        run(f"bert-serving-terminate {ports}")
        process.wait(timeout=30)
    finally:
        process.kill()


def command(line: str) -> list[str]:
    program, *arguments = shlex.split(line)
    return [str(COMMANDS / program), *arguments]


if __name__ == "__main__":
    main()
