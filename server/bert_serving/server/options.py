"""Every flag of bert-serving-start, once: parsing, help, the Python shim and SHOW_CONFIG are made from this table."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
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


COUNT = click.IntRange(min=0)
POSITIVE = click.IntRange(min=1)
PORT = click.IntRange(1, 65535)
SECONDS = click.FloatRange(min=0, min_open=True)


def option(default: Any, help: str | None, *spellings: str, added: bool = False, **attributes: Any) -> Any:
    """A field and its flag, whose further attributes are click's.

    Args:
        default: of both; MISSING: the flag is required. A bool makes a flag without value, a tuple one with many.
        spellings: of the flag, where it is not only ``-`` and the field's name.
        added: bert-as-service has no such flag.
    """
    kind = {bool: {"is_flag": True}, tuple: {"multiple": True}}.get(type(default), {})
    needed = {"required": True} if default is MISSING else {"default": default}
    flag = {"cls": AddedOption if added else click.Option, "help": help, **needed, **kind, **attributes}
    return field(default=default, metadata={"spellings": spellings, "flag": flag})


@dataclass(frozen=True)
class ServerOptions:
    """The parsed flags under their legacy names (``-cased_tokenization`` is ``do_lower_case=False``).

    Attributes:
        max_seq_len: pieces a text is cut to, with special tokens; None (``NONE``) trims to each request's longest text;
            0 (not given) stands for the model's maximum.
        num_labels: None unless given.
        engine_option: KEY=VALUE pairs for engines that have settings of their own.
    """

    model_dir: str = option(MISSING, "folder with vocab.txt, configuration and checkpoint", metavar="DIR")
    tuned_model_dir: str | None = option(None, "take the checkpoint from this folder instead", metavar="DIR")
    ckpt_name: str = option("bert_model.ckpt", "name of the checkpoint, without .index", metavar="NAME")
    config_name: str = option("bert_config.json", "name of the configuration file in -model_dir", metavar="NAME")
    graph_tmp_dir: str | None = option(None, "no effect: no graph is written", metavar="DIR")
    max_seq_len: int | None = option(
        MODEL_MAXIMUM,
        "texts are cut to this many word pieces, [CLS] and [SEP] included; a number also fixes the length of "
        "token-level replies; NONE: the longest text of each request",
        type=_SequenceLength(),
        metavar="PIECES|NONE",
        show_default="the model's maximum",
    )
    do_lower_case: bool = option(
        True,
        "keep case and accents",
        "-cased_tokenization",
        flag_value=False,
        type=bool,
        show_default="bert_ft.json's casing, else lower case",
    )
    pooling_layer: tuple[int, ...] = option((-2,), "encoder layers, concatenated", type=int, metavar="LAYER…")
    pooling_strategy: PoolingStrategy = option(  # noqa: RUF009
        PoolingStrategy.REDUCE_MEAN,
        f"how token vectors become the answer: {' '.join(PoolingStrategy.__members__)}",
        type=_Strategy(),
        metavar="NAME",
        show_default="REDUCE_MEAN",
    )
    mask_cls_sep: bool = option(False, "give [CLS] and [SEP] mask 0")
    no_special_token: bool = option(False, "add no [CLS] and [SEP] to texts that come tokenised")
    show_tokens_to_client: bool = option(False, "send the word pieces of each text too")
    no_position_embeddings: bool = option(False, "leave position embeddings out")
    num_labels: int | None = option(
        None,
        "labels of the head, for CLASSIFICATION",
        type=POSITIVE,
        metavar="LABELS",
        show_default="bert_ft.json's labels, else 2",
    )
    host: str = option(
        "127.0.0.1", "address to listen at; 0.0.0.0: every IPv4 address of the machine", added=True, metavar="ADDRESS"
    )
    port: int = option(5555, "port that takes requests", "-port", "-port_in", "-port_data", type=PORT, metavar="PORT")
    port_out: int = option(5556, "port that gives results", "-port_out", "-port_result", type=PORT, metavar="PORT")
    http_port: int | None = option(None, "port of the HTTP door", type=PORT, metavar="PORT", show_default="off")
    http_max_connect: int = option(10, "large HTTP requests at the same time", type=POSITIVE, metavar="REQUESTS")
    cors: str = option("*", "origin that HTTP answers allow", metavar="ORIGIN")
    allow_remote_terminate: bool = option(False, "let every peer stop the server, not only this machine's", added=True)
    curve_secret_key_file: str | None = option(
        None,
        "NAME.key_secret of bert-serving-keygen: encrypt, and answer only clients that know NAME.key",
        added=True,
        metavar="FILE",
        show_default="off",
    )
    curve_client_keys: str | None = option(
        None,
        "folder with the NAME.key files of the clients that may connect",
        added=True,
        metavar="DIR",
        show_default="every client that knows the server's public key",
    )
    http_key_file: str | None = option(
        None, "bearer keys of the HTTP door, one a line", added=True, metavar="FILE", show_default="off"
    )
    num_worker: int = option(1, "worker processes; each holds the model", type=POSITIVE, metavar="PROCESSES")
    max_batch_size: int = option(256, "most texts of one batch", type=POSITIVE, metavar="TEXTS")
    max_batch_tokens: int | None = option(
        None,
        "most word pieces of one batch",
        added=True,
        type=POSITIVE,
        metavar="PIECES",
        show_default="what a worker does in half a second, at most 8192",
    )
    priority_batch_size: int = option(16, "requests up to this size go first", type=COUNT, metavar="TEXTS")
    max_queue: int = option(
        100_000, "most unanswered requests; more are refused", added=True, type=POSITIVE, metavar="REQUESTS"
    )
    max_request_texts: int = option(1_000_000, "most texts of one request", added=True, type=POSITIVE, metavar="TEXTS")
    worker_timeout: float = option(
        300.0,
        "a worker that takes longer for its start or for one batch is replaced",
        added=True,
        type=SECONDS,
        metavar="SECONDS",
    )
    drain_timeout: float = option(
        30.0, "longest wait for running requests at shutdown", added=True, type=SECONDS, metavar="SECONDS"
    )
    cpu: bool = option(False, "use no GPU")
    xla: bool = option(False, "no effect yet")
    precision: str = option(
        "fp32",
        "number format of the weights and products: bf16 is faster where the processor has it, int8 too (needs the "
        "openvino extra); auto: bf16 there, else fp32; vectors are sent as float32",
        added=True,
        type=click.Choice(PRECISIONS),
    )
    fp16: bool = option(False, "send float16 vectors")
    gpu_memory_fraction: float = option(0.5, "no effect: GPU memory is taken as needed", type=float, metavar="SHARE")
    device_map: tuple[int, ...] = option(
        (), "GPU ids, given to the workers in turn", type=int, metavar="GPU…", show_default="all GPUs"
    )
    prefetch_size: int = option(10, "no effect: batches are ready in time", type=int, metavar="BATCHES")
    fixed_embed_length: bool = option(False, "token-level replies have the model's maximum length")
    verbose: bool = option(False, "log more")
    engine: str = option(
        AUTO,
        "library that computes; openvino needs pip install 'bert-ft[openvino]' and uses the processor only; auto: "
        "openvino where it is installed and faster, and for int8; the log says which and why",
        added=True,
        metavar="|".join((AUTO, *ENGINES, "MODULE:CLASS")),
    )
    calibration_texts: str | None = option(
        None,
        "for int8: one text a line, such as those to be served; the model's value ranges are measured on them",
        added=True,
        metavar="FILE",
        show_default="a sample that comes with bert-ft",
    )
    engine_option: tuple[str, ...] = option((), None, added=True, metavar="KEY=VALUE", hidden=True)

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
        is_name = isinstance(strategy, str)
        values["pooling_strategy"] = PoolingStrategy.parse(strategy) if is_name else PoolingStrategy(int(strategy))
        for name in ("pooling_layer", "device_map", "engine_option"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def server_options() -> list[click.Option]:
    """The options of bert-serving-start in the order of its help."""
    return [_click_option(one) for one in fields(ServerOptions)]


def _click_option(one: Field[Any]) -> click.Option:
    flag = dict(one.metadata["flag"])
    made: click.Option = flag.pop("cls")([one.name, *(one.metadata["spellings"] or [f"-{one.name}"])], **flag)
    return made
