"""The row about odd texts: the right vector or a clear error, on the wire and with both clients."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bench import TOLERANCE, Bench, Outcome, described, row
from .server import Raw, Server


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
        restarts = server.restarts()
    counts = f"{kinds['right']} right, {kinds['error']} clear errors, {restarts} restarts"
    found = "; ".join([counts, *failures])
    return Outcome(f"{len(cases)} kinds of texts, 3 ways", found, not failures and not restarts)


def _is_right(bench: Bench, texts: Any, found: np.ndarray) -> bool:
    """First and last vector, and the number of all."""
    expected = bench.oracle.encode([texts[0], texts[-1]])
    return len(found) == len(texts) and float(np.abs(found[[0, -1]] - expected).max()) <= TOLERANCE


def _raw(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    client = Raw(server, b"odd")
    try:
        answer = client.ask(texts, timeout=180)
    except TimeoutError:
        return "Timeout"
    finally:
        client.close()
    return answer["message"] if isinstance(answer, dict) else answer


def _new(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    with server.client(180_000) as client:
        try:
            return client.encode(texts, is_tokenized=_is_tokenized(texts))
        except Exception as error:
            return described(error)


def _old(bench: Bench, server: Server, texts: Any) -> np.ndarray | str:
    """Only the first and the last vector come back; the others are zeros."""
    with bench.old(server) as ask:
        answer = ask(texts=texts, is_tokenized=_is_tokenized(texts), timeout=180_000)
    if "error" in answer:
        return f"{answer['error']}: {answer['message']}"
    vectors = np.zeros(answer["shape"], np.float32)
    vectors[0], vectors[-1] = answer["first"], answer["last"]
    return vectors


def _is_tokenized(texts: Any) -> bool:
    return isinstance(texts, list) and bool(texts) and isinstance(texts[0], list)
