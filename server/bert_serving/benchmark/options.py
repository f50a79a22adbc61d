"""The flags of bert-serving-benchmark: those of bert-serving-start, handed on, and its own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import click
from bert_serving.server.engine_choice import definite_precision
from bert_serving.server.options import POSITIVE, SECONDS, ServerOptions, server_options

from bert_ft.errors import BertFtError
from bert_ft.flags.legacy import AddedOption
from bert_ft.pooling_strategy import PoolingStrategy

DEFAULT_JSON = "benchmark.json"
DEFAULT_PLOT = "benchmark.png"
AXIS_DEFAULTS = {
    "client_batch_size": (1, 16, 64, 256, 1024),
    "num_client": (1, 4, 16, 64),
    "max_batch_size": (8, 32, 128, 512),
    "max_batch_tokens": (512, 2048, 8192),
    "max_seq_len": (16, 32, 64, 128, 256, 512),
}
"""What is swept when no axis is named, lengths as far as the model goes; layers go by its depth."""
_PORTS = ("port", "port_out")
_WITHOUT_EFFECT = {
    "host", "http_port", "http_max_connect", "cors", "http_key_file", "allow_remote_terminate",
    "curve_secret_key_file", "curve_client_keys",
}  # fmt: skip


@dataclass(frozen=True)
class BenchmarkOptions:
    """The benchmark's own flags, and the server's under ``server``.

    Attributes:
        server: what the server is started with where an axis does not say otherwise; ports 0 for free ones.
        without_effect: flags that were given and mean nothing here.
        client_batch_size: None if not given.
    """

    server: ServerOptions
    without_effect: tuple[str, ...]
    test_client_batch_size: tuple[int, ...]
    test_num_client: tuple[int, ...]
    test_max_batch_size: tuple[int, ...]
    test_max_batch_tokens: tuple[int, ...]
    test_max_seq_len: tuple[int, ...]
    test_pooling_layer: tuple[int, ...]
    test_mixed: bool
    num_client: int
    client_batch_size: int | None
    bulk_texts: int
    mixed_clients: int
    texts: str | None
    client_vocab_file: str | None
    num_text: int
    mean_length: float
    length_sigma: float
    seed: int
    seconds: float
    num_repeat: int
    wait_till_ready: float
    no_roof: bool
    json: str
    plot: str | None

    @classmethod
    def from_flags(cls, values: dict[str, Any]) -> BenchmarkOptions:
        """Part the parsed flags.

        Raises:
            BertFtError: two of them exclude each other.
        """
        own = {field.name for field in fields(cls)}
        flags = {name: value for name, value in values.items() if name not in own}
        for name in _PORTS:
            flags[name] = flags[name] or 0
        ignored = sorted(name for name in _WITHOUT_EFFECT if flags[name] != getattr(ServerOptions, name))
        flags |= {name: getattr(ServerOptions, name) for name in ignored}
        options = cls(
            server=ServerOptions(**flags | {"precision": definite_precision(ServerOptions(**flags))}),
            without_effect=tuple(ignored),
            **{name: value for name, value in values.items() if name in own},
        )
        if options.texts and options.client_vocab_file:
            raise BertFtError("-texts and -client_vocab_file: texts are read or generated; give one of the two")
        return options


def benchmark_options() -> list[click.Option]:
    """The server's options and the benchmark's, in the order of its help."""
    return [*_server_part(), *_axes(), *_load(), *_output()]


def server_arguments(options: ServerOptions) -> list[str]:
    """The command line of bert-serving-start that gives these options; defaults and free ports are left out."""
    arguments = []
    for option in server_options():
        assert option.name is not None
        value = getattr(options, option.name)
        if value == getattr(ServerOptions, option.name, None) or (option.name in _PORTS and not value):
            continue
        flag = option.opts[0]
        if option.is_flag:
            arguments.append(flag)
        else:
            arguments += [f"{flag}={_spelled(one)}" for one in (value if option.multiple else (value,))]
    return arguments


def _spelled(value: Any) -> str:
    if isinstance(value, PoolingStrategy):
        return value.name
    return "NONE" if value is None else str(value)


def _server_part() -> list[click.Option]:
    options = server_options()
    for option in options:
        if option.name in _PORTS:
            option.default, option.show_default = None, "a free one"
        elif option.name in _WITHOUT_EFFECT:
            option.help = "no effect: the server listens at 127.0.0.1 for this benchmark's clients, without keys"
    return options


def _axes() -> list[click.Option]:
    def axis(name: str, metavar: str, text: str, cls: type[click.Option] = click.Option) -> click.Option:
        default = " ".join(map(str, AXIS_DEFAULTS.get(name, ()))) or "-1, -depth/4, -depth/2, -depth"
        kind: Any = click.INT if name == "pooling_layer" else click.IntRange(min=4 if name == "max_seq_len" else 1)
        return cls(
            [f"-test_{name}"], type=kind, multiple=True, metavar=metavar, show_default=default, default=(), help=text
        )

    return [
        axis("client_batch_size", "TEXTS…", "sweep the texts of a request"),
        axis("num_client", "CLIENTS…", "sweep the clients that send at the same time"),
        axis("max_batch_size", "TEXTS…", "sweep the server's -max_batch_size"),
        axis("max_batch_tokens", "PIECES…", "sweep the server's -max_batch_tokens", AddedOption),
        axis(
            "max_seq_len", "PIECES…",
            "sweep the length of the texts: all of just so many pieces, the server's -max_seq_len"
        ),
        axis("pooling_layer", "LAYER…", "sweep the server's -pooling_layer"),
        AddedOption(
            ["-test_mixed"], is_flag=True, help="one client with one short text alone and beside a bulk request; "
            "many such clients together"
        ),
    ]  # fmt: skip


def _load() -> list[click.Option]:
    return [
        _count("-num_client", 1, "CLIENTS", "clients of the other axes"),
        AddedOption(
            ["-client_batch_size"], type=POSITIVE, metavar="TEXTS", show_default="256; 1 for -test_num_client",
            help="texts of a request on the other axes; less on -test_max_seq_len: 8192 pieces"
        ),
        _count("-bulk_texts", 4096, "TEXTS", "the bulk request of -test_mixed"),
        _count("-mixed_clients", 16, "CLIENTS", "the many clients of -test_mixed"),
        AddedOption(["-texts"], metavar="FILE", show_default="generated", help="texts to send, one a line, UTF-8"),
        click.Option(
            ["-client_vocab_file"], metavar="FILE", show_default="the model's vocabulary",
            help="words that texts are generated from"
        ),
        _count("-num_text", 4096, "TEXTS", "different texts, of -texts or generated"),
        AddedOption(
            ["-mean_length"], type=click.FloatRange(min=3), default=32.0, metavar="PIECES",
            help="mean length of generated texts (log-normal), [CLS] and [SEP] included"
        ),
        AddedOption(
            ["-length_sigma"], type=click.FloatRange(0, 3), default=0.6, metavar="SIGMA",
            help="spread of the logarithm of their lengths; 0: all of one length"
        ),
        AddedOption(["-seed"], type=click.IntRange(min=0), default=1, metavar="NUMBER", help="of texts and sample"),
        AddedOption(
            ["-seconds"], type=SECONDS, default=10.0, metavar="SECONDS",
            help="a client begins no request after this time; each sends one at least"
        ),
        _count("-num_repeat", 3, "TIMES", "rounds through all points, in turn", click.Option),
        click.Option(
            ["-wait_till_ready"], type=SECONDS, default=120.0, metavar="SECONDS", help="longest wait for the server"
        ),
    ]  # fmt: skip


def _count(name: str, default: int, metavar: str, text: str, cls: type[click.Option] = AddedOption) -> click.Option:
    return cls([name], type=POSITIVE, default=default, metavar=metavar, help=text)


def _output() -> list[click.Option]:
    return [
        AddedOption(["-no_roof"], is_flag=True, help="do not measure the processor's matrix products"),
        AddedOption(["-json"], default=DEFAULT_JSON, metavar="FILE", help="every figure; an older file is replaced"),
        AddedOption(
            ["-plot"], metavar="FILE", show_default=f"{DEFAULT_PLOT}, if matplotlib is installed",
            help="a picture of the figures, .png or another format of matplotlib; an older file is replaced"
        ),
    ]  # fmt: skip
