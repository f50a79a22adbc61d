"""Engines by name; one is imported only when a worker loads it."""

from __future__ import annotations

from importlib import import_module

from bert_serving.server.engines.base import Engine

_ENGINES = {
    "tensorflow": "TensorFlowEngine",
    "openvino": "OpenvinoEngine",
    "dummy": "DummyEngine",
    "faulty": "FaultyEngine",
}


def engine_names() -> list[str]:
    return sorted(_ENGINES)


def engine_class(name: str) -> type[Engine]:
    """Import the engine's module and return its class."""
    return getattr(import_module(f"{__name__}.{name}"), _ENGINES[name])
