"""The row about odd texts: the right vector or a clear error, on the wire and with both clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from bert_serving.client import BertClient

from .bench import TOLERANCE, Bench, Outcome, Raw, Server, row


def _cases(bench: Bench) -> dict[str, Any]:
    many = bench.size(100_000, 10_000)
    short = sorted(range(len(bench.texts)), key=lambda number: len(bench.texts[number]))[:100]
    return {
        "empty string": [""],
        "empty among others": ["a", ""],
        "blanks": [" \t\n\u3000"],
        "NUL": ["\0", "一\0二"],
        "lone surrogate": ["\ud800", "一\udfff二"],
        "zero-width": ["\u200b\u200d"],
        "1 MB text": ["一a " * 250_000],
        "1 MB word": ["a" * 1_000_000],
        "1 MB of marks": ["e" + "\u0301" * 500_000],
        f"{many} texts": [bench.texts[short[number % 100]] for number in range(many)],
        "list in list in list": [[["a"]]],
        "lists of tokens": [["一", "二"], ["NoSuchToken"]],
        "empty list of tokens": [["a"], []],
        "numbers": [1, 2.5],
        "null": [None],
        "object": [{"a": 1}],
        "mixed": ["a", ["b"]],
        "empty list": [],
        "no list": "一二",
    }


@row("oddities", "odd texts on the wire, with the new and with the old client")
def oddities(bench: Bench) -> Outcome:
    failures, kinds = [], {"right": 0, "error": 0}
    cases = _cases(bench)
    with bench.serve() as server:
        for who, ask in (("wire", _raw), ("new", _new), ("old", _old)):
            for name, texts in cases.items():
                answer = ask(bench, server, texts)
                if isinstance(answer, str):
                    clear = bool(answer) and "Timeout" not in answer and "\n" not in answer
                    kinds["error"] += clear
                    failures += [] if clear else [f"{who}, {name}: {answer!r}"]
                elif _is_right(bench, texts, answer):
                    kinds["right"] += 1
                else:
                    failures.append(f"{who}, {name}: wrong vectors")
        restarts = server.status()["workers"][0]["restarts"]
    found = f"{kinds['right']} right, {kinds['error']} clear errors, {restarts} restarts" + "".join(
        f"; {one}" for one in failures
    )
    return Outcome(f"{len(cases)} kinds of texts, 3 ways", found, not failures and not restarts)


def _is_right(bench: Bench, texts: Any, found: np.ndarray) -> bool:
    """First and last vector, and the number of all."""
    compute = bench.oracle.tokenized if isinstance(texts[0], list) else bench.oracle
    expected = compute([texts[0], texts[-1]])
    return len(found) == len(texts) and float(np.abs(found[[0, -1]] - expected).max()) <= TOLERANCE


def _raw(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    client = Raw(server, b"odd")
    try:
        client.send(texts, 1)
        _, answer = client.receive(180)
    except TimeoutError:
        return "Timeout"
    finally:
        client.close()
    return answer["message"] if isinstance(answer, dict) else answer


def _new(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    with BertClient(timeout=180_000, **server.ports) as client:
        try:
            return client.encode(texts, is_tokenized=_is_tokenized(texts))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def _old(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    """Only the first and the last vector come back; the others are zeros."""
    script = Path(__file__).with_name("old_client.py")
    done = subprocess.run(
        [sys.executable, str(script), str(bench.old_client), str(server.port), str(server.port_out)],
        input=json.dumps({"texts": texts, "is_tokenized": _is_tokenized(texts), "timeout": 180_000}) + "\n",
        capture_output=True, text=True, timeout=240, env={**os.environ, "PYTHONPATH": str(bench.old_client)},
    )  # fmt: skip
    if done.returncode:
        return f"Timeout: {done.stderr[-300:]}"
    answer = json.loads(done.stdout)
    if "error" in answer:
        return f"{answer['error']}: {answer['message']}"
    vectors = np.zeros(answer["shape"], np.float32)
    vectors[0], vectors[-1] = answer["first"], answer["last"]
    return vectors


def _is_tokenized(texts: Any) -> bool:
    return isinstance(texts, list) and bool(texts) and isinstance(texts[0], list)
