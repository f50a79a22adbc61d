"""Every flag of bert-serving-start, once: parsing, help, the Python shim and SHOW_CONFIG are made from this table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import click

from bert_ft.checkpoint.fingerprint import ModelPlace
from bert_ft.engines import ENGINES
from bert_ft.engines.selection import PRECISIONS
from bert_ft.errors import BertFtError
from bert_ft.flags.legacy import AddedOption
from bert_ft.hardware.choice import AUTO
from bert_ft.pooling_strategy import PoolingStrategy

MODEL_MAXIMUM = 0
"""Value of ``max_seq_len`` when the flag was not given: the model's own maximum."""


@dataclass(frozen=True)
class ServerOptions:
    """The parsed flags under their legacy names (``-cased_tokenization`` is ``do_lower_case=False``).

    Attributes:
        max_seq_len: pieces a text is cut to, with special tokens; None (``NONE``) trims to each request's longest text;
            0 (not given) stands for the model's maximum.
        num_labels: None unless given.
        engine_option: KEY=VALUE pairs for engines that have settings of their own.
    """

    model_dir: str
    tuned_model_dir: str | None = None
    ckpt_name: str = "bert_model.ckpt"
    config_name: str = "bert_config.json"
    graph_tmp_dir: str | None = None
    max_seq_len: int | None = MODEL_MAXIMUM
    do_lower_case: bool = True
    pooling_layer: tuple[int, ...] = (-2,)
    pooling_strategy: PoolingStrategy = PoolingStrategy.REDUCE_MEAN
    mask_cls_sep: bool = False
    no_special_token: bool = False
    show_tokens_to_client: bool = False
    no_position_embeddings: bool = False
    num_labels: int | None = None
    host: str = "127.0.0.1"
    port: int = 5555
    port_out: int = 5556
    http_port: int | None = None
    http_max_connect: int = 10
    cors: str = "*"
    allow_remote_terminate: bool = False
    curve_secret_key_file: str | None = None
    curve_client_keys: str | None = None
    http_key_file: str | None = None
    num_worker: int = 1
    max_batch_size: int = 256
    max_batch_tokens: int | None = None
    priority_batch_size: int = 16
    max_queue: int = 100_000
    max_request_texts: int = 1_000_000
    worker_timeout: float = 300.0
    drain_timeout: float = 30.0
    cpu: bool = False
    xla: bool = False
    precision: str = "fp32"
    fp16: bool = False
    gpu_memory_fraction: float = 0.5
    device_map: tuple[int, ...] = ()
    prefetch_size: int = 10
    fixed_embed_length: bool = False
    verbose: bool = False
    calibration_texts: str | None = None
    engine: str = AUTO
    engine_option: tuple[str, ...] = ()

    @property
    def place(self) -> ModelPlace:
        return ModelPlace(self.model_dir, self.ckpt_name, self.config_name, self.tuned_model_dir)

    @classmethod
    def from_object(cls, source: Any) -> ServerOptions:
        """Take the known attributes of any object, such as an ``argparse.Namespace`` of an old script.

        Raises:
            BertFtError: it has no ``model_dir``, or a value is not allowed.
        """
        if isinstance(source, cls):
            return source
        values = {field.name: getattr(source, field.name) for field in fields(cls) if hasattr(source, field.name)}
        if not values.get("model_dir"):
            raise BertFtError("the server's arguments lack model_dir; make them with get_args_parser()")
        strategy = values.get("pooling_strategy", PoolingStrategy.REDUCE_MEAN)
        if isinstance(strategy, str):
            values["pooling_strategy"] = PoolingStrategy.parse(strategy)
        else:
            values["pooling_strategy"] = PoolingStrategy(int(strategy))
        for name in ("pooling_layer", "device_map", "engine_option"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


class _SequenceLength(click.ParamType):
    name = "int|NONE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if value.upper() == "NONE":
            return None
        try:
            length = int(value)
        except ValueError:
            self.fail(f"must be a whole number above 3 or NONE, not {value!r}", param, ctx)
        if length <= 3:
            self.fail(f"must be above 3 ([CLS], one piece and [SEP] at least) or NONE, not {length}", param, ctx)
        return length


class _Strategy(click.Choice[str]):
    def __init__(self) -> None:
        super().__init__(list(PoolingStrategy.__members__))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, PoolingStrategy):
            return value
        return PoolingStrategy[super().convert(value, param, ctx)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        return "NAME"


COUNT = click.IntRange(min=0)
POSITIVE = click.IntRange(min=1)
PORT = click.IntRange(1, 65535)
SECONDS = click.FloatRange(min=0, min_open=True)
_DEFAULTS = {field.name: field.default for field in fields(ServerOptions)}


def option(*spellings: str, cls: type[click.Option] = click.Option, **attributes: Any) -> click.Option:
    """A click option whose default is the dataclass's."""
    dest = attributes.pop("dest", spellings[0].lstrip("-"))
    if attributes.get("required") is None and "default" not in attributes:
        attributes["default"] = _DEFAULTS[dest]
    return cls([dest, *spellings], **attributes)


def _added(*spellings: str, **attributes: Any) -> click.Option:
    return option(*spellings, cls=AddedOption, **attributes)


def server_options() -> list[click.Option]:
    """The options of bert-serving-start in the order of its help."""
    return [
        option("-model_dir", required=True, metavar="DIR", help="folder with vocab.txt, configuration and checkpoint"),
        option("-tuned_model_dir", metavar="DIR", help="take the checkpoint from this folder instead"),
        option("-ckpt_name", metavar="NAME", help="name of the checkpoint, without .index"),
        option("-config_name", metavar="NAME", help="name of the configuration file in -model_dir"),
        option("-graph_tmp_dir", metavar="DIR", help="no effect: no graph is written"),
        option(
            "-max_seq_len",
            type=_SequenceLength(),
            metavar="PIECES|NONE",
            show_default="the model's maximum",
            help="texts are cut to this many word pieces, [CLS] and [SEP] included; a number also fixes the length of "
            "token-level replies; NONE: the longest text of each request",
        ),
        option(
            "-cased_tokenization",
            dest="do_lower_case",
            is_flag=True,
            flag_value=False,
            default=True,
            type=bool,
            show_default="bert_ft.json's casing, else lower case",
            help="keep case and accents",
        ),
        option("-pooling_layer", type=int, multiple=True, metavar="LAYER…", help="encoder layers, concatenated"),
        option("-pooling_strategy", type=_Strategy(), show_default="REDUCE_MEAN", help=_strategies_help()),
        option("-mask_cls_sep", is_flag=True, help="give [CLS] and [SEP] mask 0"),
        option("-no_special_token", is_flag=True, help="add no [CLS] and [SEP] to texts that come tokenised"),
        option("-show_tokens_to_client", is_flag=True, help="send the word pieces of each text too"),
        option("-no_position_embeddings", is_flag=True, help="leave position embeddings out"),
        option(
            "-num_labels",
            type=POSITIVE,
            metavar="LABELS",
            show_default="bert_ft.json's labels, else 2",
            help="labels of the head, for CLASSIFICATION",
        ),
        _added("-host", metavar="ADDRESS", help="address to listen at; 0.0.0.0: every IPv4 address of the machine"),
        option("-port", "-port_in", "-port_data", type=PORT, metavar="PORT", help="port that takes requests"),
        option("-port_out", "-port_result", type=PORT, metavar="PORT", help="port that gives results"),
        option("-http_port", type=PORT, metavar="PORT", show_default="off", help="port of the HTTP door"),
        option("-http_max_connect", type=POSITIVE, metavar="REQUESTS", help="large HTTP requests at the same time"),
        option("-cors", metavar="ORIGIN", help="origin that HTTP answers allow"),
        _added("-allow_remote_terminate", is_flag=True, help="let every peer stop the server, not only this machine's"),
        _added(
            "-curve_secret_key_file",
            metavar="FILE",
            show_default="off",
            help="NAME.key_secret of bert-serving-keygen: encrypt, and answer only clients that know NAME.key",
        ),
        _added(
            "-curve_client_keys",
            metavar="DIR",
            show_default="every client that knows the server's public key",
            help="folder with the NAME.key files of the clients that may connect",
        ),
        _added("-http_key_file", metavar="FILE", show_default="off", help="bearer keys of the HTTP door, one a line"),
        option("-num_worker", type=POSITIVE, metavar="PROCESSES", help="worker processes; each holds the model"),
        option("-max_batch_size", type=POSITIVE, metavar="TEXTS", help="most texts of one batch"),
        _added(
            "-max_batch_tokens",
            type=POSITIVE,
            metavar="PIECES",
            show_default="what a worker does in half a second, at most 8192",
            help="most word pieces of one batch",
        ),
        option("-priority_batch_size", type=COUNT, metavar="TEXTS", help="requests up to this size go first"),
        _added("-max_queue", type=POSITIVE, metavar="REQUESTS", help="most unanswered requests; more are refused"),
        _added("-max_request_texts", type=POSITIVE, metavar="TEXTS", help="most texts of one request"),
        _added(
            "-worker_timeout",
            type=SECONDS,
            metavar="SECONDS",
            help="a worker that takes longer for its start or for one batch is replaced",
        ),
        _added("-drain_timeout", type=SECONDS, metavar="SECONDS", help="longest wait for running requests at shutdown"),
        option("-cpu", is_flag=True, help="use no GPU"),
        option("-xla", is_flag=True, help="no effect yet"),
        _added(
            "-precision",
            type=click.Choice(PRECISIONS),
            help="number format of the weights and products: bf16 is faster where the processor has it, int8 too "
            "(needs the openvino extra); auto: bf16 there, else fp32; vectors are sent as float32",
        ),
        option("-fp16", is_flag=True, help="send float16 vectors"),
        option("-gpu_memory_fraction", type=float, metavar="SHARE", help="no effect: GPU memory is taken as needed"),
        option(
            "-device_map",
            type=int,
            multiple=True,
            metavar="GPU…",
            show_default="all GPUs",
            help="GPU ids, given to the workers in turn",
        ),
        option("-prefetch_size", type=int, metavar="BATCHES", help="no effect: batches are ready in time"),
        option("-fixed_embed_length", is_flag=True, help="token-level replies have the model's maximum length"),
        option("-verbose", is_flag=True, help="log more"),
        _added(
            "-engine",
            metavar="|".join((AUTO, *ENGINES, "MODULE:CLASS")),
            help="library that computes; openvino needs pip install 'bert-ft[openvino]' and uses the processor only; "
            "auto: openvino where it is installed and faster, and for int8; the log says which and why",
        ),
        _added(
            "-calibration_texts",
            metavar="FILE",
            show_default="a sample that comes with bert-ft",
            help="for int8: one text a line, such as those to be served; the model's value ranges are measured on them",
        ),
        _added("-engine_option", multiple=True, metavar="KEY=VALUE", hidden=True),
    ]  # fmt: skip


def _strategies_help() -> str:
    return f"how token vectors become the answer: {' '.join(PoolingStrategy.__members__)}"
