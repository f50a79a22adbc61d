"""Which engine the flags ask for, and whether it can be had: said before any worker starts."""

from __future__ import annotations

from importlib.util import find_spec

from bert_serving.server.engines import engine_names
from bert_serving.server.engines.openvino_calibration import calibration_texts
from bert_serving.server.options import PUBLIC_ENGINES, ServerOptions
from bert_serving.server.processor import gpu_count, precision_notes

from bert_ft.errors import BertFtError

_INSTALL = 'pip install "bert-ft[openvino]"'


def choose_engine(options: ServerOptions) -> str:
    """The engine of ``-engine``, or else the one that has the precision.

    Raises:
        BertFtError: it is unknown, has not the precision, or its libraries are not installed; or another of its flags
            is wrong.
    """
    engine = options.engine or ("openvino" if options.precision == "int8" else "tensorflow")
    if engine not in engine_names():
        raise BertFtError(f"-engine {engine} is not known; choose one of {', '.join(PUBLIC_ENGINES)}")
    if engine == "tensorflow" and options.precision == "int8":
        raise BertFtError("-engine tensorflow has no -precision int8; leave -engine out, or give fp32 or bf16")
    if engine == "openvino":
        _check_installed(options.precision)
        if options.precision == "int8":
            calibration_texts(options.calibration_texts)
    for pair in options.engine_option:
        if "=" not in pair:
            raise BertFtError(f"-engine_option {pair}: write it as KEY=VALUE")
    return engine


def extra_options(options: ServerOptions) -> dict[str, str]:
    """What only this engine is told."""
    extra = dict(pair.split("=", 1) for pair in options.engine_option)
    if options.engine == "openvino":
        extra["do_lower_case"] = str(options.do_lower_case).lower()
        if options.calibration_texts is not None:
            extra["calibration_texts"] = options.calibration_texts
    return extra


def engine_notes(options: ServerOptions) -> list[str]:
    """Lines for the log about flags that this engine does not use, and about a faster precision."""
    notes = []
    if options.calibration_texts is not None and options.precision != "int8":
        notes.append("-calibration_texts has no effect: only -precision int8 measures value ranges")
    if options.engine == "openvino" and options.device_map:
        notes.append("-device_map has no effect: this engine uses the processor only")
    on_processor = options.cpu or options.engine == "openvino" or not gpu_count()
    return notes + precision_notes(options.precision, on_processor)


def _check_installed(precision: str) -> None:
    wanted = ["openvino", *(["nncf"] if precision == "int8" else [])]
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        flag = "-precision int8" if precision == "int8" else "-engine openvino"
        raise BertFtError(f"{flag} needs {' and '.join(missing)}, which this Python has not: {_INSTALL}")
