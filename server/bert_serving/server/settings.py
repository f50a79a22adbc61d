"""What the flags mean for this model directory: checked before a port is bound or a worker is started."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bert_serving.server.engine_choice import check_flags, engine_notes, uses_gpu
from bert_serving.server.options import MODEL_MAXIMUM, ServerOptions

from bert_ft.checkpoint.directory import ModelDirectory, open_model_directory
from bert_ft.engines.base import EngineOptions
from bert_ft.engines.selection import select
from bert_ft.errors import BertFtError
from bert_ft.hardware.processor import usable_cores

_WITHOUT_EFFECT = {
    "graph_tmp_dir": "no graph is written to disk",
    "gpu_memory_fraction": "GPU memory is taken as it is needed",
    "prefetch_size": "batches are made ready while a worker computes",
    "xla": "this engine does not use XLA",
}
_WITHOUT_HTTP = dict.fromkeys(("http_max_connect", "cors", "http_key_file"), "there is no -http_port")


@dataclass(frozen=True)
class Settings:
    """Flags resolved against a model directory.

    Attributes:
        options: the flags, with ``max_seq_len``, ``do_lower_case`` and ``num_labels`` as they take effect.
        max_pieces: pieces a text is cut to, with special tokens.
        window_pieces: pieces of the windows in which a tagging head reads: as many as in its training, unless
            ``-max_seq_len`` is given.
        fixed_length: T of token-level replies, or None for the longest text of the request.
        notes: lines for the log: flags without effect, the casing chosen.
        warnings: likewise: doors that are open to others.
    """

    options: ServerOptions
    directory: ModelDirectory
    max_pieces: int
    window_pieces: int
    fixed_length: int | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def engine_options(self, device: int | None) -> EngineOptions:
        """What one worker's engine is told; its share of the usable cores included."""
        options = self.options
        named_alike = {one.name for one in fields(EngineOptions)} & {one.name for one in fields(ServerOptions)}
        told = {name: getattr(options, name) for name in named_alike} | {
            "pooling_strategy": options.pooling_strategy.name,
            "pooling_layer": list(options.pooling_layer),
            "threads": max(1, usable_cores() // options.num_worker),
            "device": device,
            "extra": dict(pair.split("=", 1) for pair in options.engine_option),
        }
        return EngineOptions(**told)

    def public(self) -> dict[str, Any]:
        """The flags as SHOW_CONFIG reports them, for JSON."""
        values = asdict(self.options)
        values["pooling_strategy"] = int(self.options.pooling_strategy)
        for name in ("engine", "engine_option"):
            del values[name]
        return values


def resolve(options: ServerOptions) -> Settings:
    """Check every flag that can be checked without reading weights.

    Raises:
        BertFtError: a flag does not fit the model, another flag or this version; or the model directory is incomplete.
    """
    _check_ports({"-port": options.port, "-port_out": options.port_out, "-http_port": options.http_port})
    check_flags(options)
    directory = open_model_directory(options.model_dir, options.ckpt_name, options.config_name, options.tuned_model_dir)
    options.pooling_strategy.layers(options.pooling_layer, directory.config.num_hidden_layers)
    maximum = directory.config.max_position_embeddings
    length = options.max_seq_len
    if length is not None and length > maximum:
        raise BertFtError(f"-max_seq_len {length} is more than the model's {maximum} positions; give {maximum} or less")
    notes = [
        f"-{name} has no effect: {reason}"
        for name, reason in (_WITHOUT_EFFECT | ({} if options.http_port else _WITHOUT_HTTP)).items()
        if getattr(options, name) != ServerOptions.__dataclass_fields__[name].default
    ]
    choice = select(options.engine, options.precision, uses_gpu(options))
    lower_case, note = _casing(options, directory)
    labels = directory.metadata.labels if directory.metadata else []
    effective = replace(
        options,
        do_lower_case=lower_case,
        max_seq_len=maximum if length == MODEL_MAXIMUM else length,
        num_labels=options.num_labels or len(labels) or 2,
        engine=choice.engine,
        precision=choice.precision,
    )
    fixed_length = maximum if options.fixed_embed_length else length or None
    window_pieces = length or directory.window_pieces
    return Settings(
        effective,
        directory,
        length or maximum,
        window_pieces,
        fixed_length,
        (*notes, *filter(None, [choice.reason]), *engine_notes(effective), note),
        _open_frontends(options),
    )


def is_loopback(address: str) -> bool:
    """Whether a numeric address (or ``localhost``) is of this machine only."""
    if address == "localhost":
        return True
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _open_frontends(options: ServerOptions) -> tuple[str, ...]:
    if is_loopback(options.host):
        return ()
    warnings = []
    if options.curve_secret_key_file is None:
        warnings.append("can use this server: there are no keys (-curve_secret_key_file)")
    if options.http_port and options.http_key_file is None:
        warnings.append(f"can use the HTTP door {options.http_port}: there are no keys (-http_key_file)")
    elif options.http_port:
        warnings.append(
            f"can read what goes through the HTTP door {options.http_port}, keys too: HTTP does not encrypt; put a "
            "proxy with TLS before it"
        )
    return tuple(f"-host {options.host}: every machine that can reach it {warning}" for warning in warnings)


def _check_ports(ports: dict[str, int | None]) -> None:
    flags: dict[int, str] = {}
    for flag, port in ports.items():
        if port in flags:
            raise BertFtError(f"{flags[port]} and {flag} are both {port}; give different ports")
        if port is not None:
            flags[port] = flag


def _casing(options: ServerOptions, directory: ModelDirectory) -> tuple[bool, str]:
    if not options.do_lower_case:
        return False, "texts keep case and accents: -cased_tokenization"
    if directory.metadata is None:
        return True, "texts are lower-cased and lose accents; give -cased_tokenization for a cased model"
    lower_case = directory.metadata.do_lower_case
    return lower_case, f"texts {'are lower-cased' if lower_case else 'keep case and accents'}: bert_ft.json says so"
