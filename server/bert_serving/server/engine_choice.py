"""Which engine the flags ask for, and whether it can be had: said before any worker starts."""

from __future__ import annotations

from importlib.util import find_spec

from bert_serving.server.engines import engine_names
from bert_serving.server.engines.openvino_calibration import calibration_texts
from bert_serving.server.options import PUBLIC_ENGINES, ServerOptions

from bert_ft.choice import AUTO, Choice, choose, is_installed, precision_notes
from bert_ft.errors import BertFtError
from bert_ft.model.directory import ModelDirectory
from bert_ft.model.plain_checkpoint import has_slices
from bert_ft.processor import gpu_count, this_processor

_INSTALL = 'pip install "bert-ft[openvino]"'


def check_flags(options: ServerOptions) -> None:
    """See that the engine and the precision exist, go together, and are installed.

    Raises:
        BertFtError: they do not; or another of the engine's flags is wrong.
    """
    engine = options.engine
    if engine != AUTO and engine not in engine_names():
        raise BertFtError(f"-engine {engine} is not known; choose one of {', '.join(PUBLIC_ENGINES)}")
    if engine == "tensorflow" and options.precision == "int8":
        raise BertFtError("-engine tensorflow has no -precision int8; leave -engine out, or give fp32 or bf16")
    if engine == "openvino" or (engine == AUTO and options.precision == "int8"):
        _check_installed(options.precision)
        if options.precision == "int8":
            calibration_texts(options.calibration_texts)
    for pair in options.engine_option:
        if "=" not in pair:
            raise BertFtError(f"-engine_option {pair}: write it as KEY=VALUE")


def chosen(options: ServerOptions, directory: ModelDirectory) -> Choice:
    """The engine and the precision of ``-engine`` and ``-precision`` for this model, on this machine."""
    sliced = options.engine == AUTO and has_slices(directory.checkpoint)
    gpu = _uses_gpu(options)
    return choose(options.precision, options.engine, this_processor(), gpu, is_installed("openvino"), sliced)


def definite_precision(options: ServerOptions) -> str:
    """That of ``-precision``, or what auto takes here; it does not depend on the engine."""
    return choose(options.precision, "tensorflow", this_processor(), _uses_gpu(options), openvino=False).precision


def extra_options(options: ServerOptions) -> dict[str, str]:
    """What only this engine is told."""
    extra = dict(pair.split("=", 1) for pair in options.engine_option)
    if options.engine == "openvino":
        extra["do_lower_case"] = str(options.do_lower_case).lower()
        if options.calibration_texts is not None:
            extra["calibration_texts"] = options.calibration_texts
    return extra


def engine_notes(options: ServerOptions) -> list[str]:
    """Lines for the log about flags that this engine does not use, and about a precision that does not fit."""
    notes = []
    if options.calibration_texts is not None and options.precision != "int8":
        notes.append("-calibration_texts has no effect: only -precision int8 measures value ranges")
    if options.engine == "openvino" and options.device_map:
        notes.append("-device_map has no effect: this engine uses the processor only")
    if options.engine == "openvino" or not _uses_gpu(options):
        notes += precision_notes(options.precision, options.engine, this_processor())
    return notes


def _uses_gpu(options: ServerOptions) -> bool:
    return not options.cpu and (bool(options.device_map) or gpu_count() > 0)


def _check_installed(precision: str) -> None:
    wanted = ["openvino", *(["nncf"] if precision == "int8" else [])]
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        flag = "-precision int8" if precision == "int8" else "-engine openvino"
        raise BertFtError(f"{flag} needs {' and '.join(missing)}, which this Python has not: {_INSTALL}")
