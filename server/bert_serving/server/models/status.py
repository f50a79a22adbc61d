"""SHOW_CONFIG and SHOW_STATUS: every key of the original, and a few more."""

from __future__ import annotations

import platform
from datetime import datetime
from typing import Any

import zmq
from bert_serving.server.models.served_model import ServedModel

from bert_ft import __version__

LEGACY_VERSION = "1.10.0"
"""What the clients of 1.10.0 compare with their own version."""


_FOR_STRANGERS = (
    "client", "server_version", "ready", "dim", "tasks", "max_seq_len", "show_tokens_to_client", "do_lower_case",
    "pooling_layer", "pooling_strategy", "mask_cls_sep", "no_special_token", "no_position_embeddings",
    "fixed_embed_length", "fp16", "num_labels", "port", "port_out", "max_request_texts", "model_fingerprint",
)  # fmt: skip


def for_strangers(config: dict[str, Any]) -> dict[str, Any]:
    """What a client needs to use the server, and nothing of the machine: no path, no version, no other address.

    ``bert_ft_version`` is there and empty, for it tells a client which protocol is spoken.
    """
    return {name: config[name] for name in _FOR_STRANGERS} | {"bert_ft_version": ""}


class Status:
    """Describes a running server."""

    def __init__(self) -> None:
        self._start = datetime.now()
        self.model_since = self._start

    def config(self, served: ServedModel, client: bytes) -> dict[str, Any]:
        """The answer to SHOW_CONFIG; keys about sockets inside the server have their old names and no content."""
        options = served.settings.options
        workers = served.dispatcher.supervisor.workers
        info = next((worker.info for worker in workers if worker.info), {})
        return {
            "client": client.decode("utf-8", "backslashreplace"),
            "num_process": len(workers) + 1,
            "ventilator -> worker": [],
            "worker -> sink": "",
            "ventilator <-> sink": "",
            "server_current_time": str(datetime.now()),
            "num_concurrent_socket": max(8, 2 * options.num_worker),
            **served.settings.public(),
            "tensorflow_version": str(info.get("tensorflow_version", "")).split("."),
            "python_version": platform.python_version(),
            "server_version": LEGACY_VERSION,
            "pyzmq_version": zmq.pyzmq_version(),
            "zmq_version": zmq.zmq_version(),
            "server_start_time": str(self._start),
            "bert_ft_version": __version__,
            "dim": info.get("dim"),
            "tasks": served.info.tasks,
            "model_fingerprint": served.fingerprint,
            "model_since": str(self.model_since),
        }

    def workers(self, served: ServedModel) -> list[dict[str, Any]]:
        """State and counts of each worker, for SHOW_STATUS."""
        names = ("pid", "state", "restarts", "batches", "sequences")
        return [{name: getattr(one, name) for name in names} for one in served.dispatcher.supervisor.workers]
