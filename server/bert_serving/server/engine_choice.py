"""Which engine the flags ask for, and whether it can be had: said before any worker starts."""

from __future__ import annotations

from importlib.util import find_spec

from bert_serving.server.options import ServerOptions

from bert_ft.checkpoint.directory import ModelDirectory
from bert_ft.checkpoint.reader import has_slices
from bert_ft.engines import ENGINES, is_place
from bert_ft.engines.openvino.calibration import calibration_texts
from bert_ft.errors import BertFtError
from bert_ft.hardware.choice import AUTO, Choice, choose, is_installed, precision_notes
from bert_ft.hardware.processor import gpu_count, this_processor


def check_flags(options: ServerOptions) -> None:
    """See that the engine and the precision exist, go together, and are installed.

    Raises:
        BertFtError: they do not; or another of the engine's flags is wrong.
    """
    engine = options.engine
    precision = options.precision
    if engine not in (AUTO, *ENGINES) and not is_place(engine):
        raise BertFtError(
            f"-engine {engine} is not known; choose one of {', '.join((AUTO, *ENGINES))}, or give package.module:Class"
        )
    if engine in ENGINES and precision not in (AUTO, *(has := ENGINES[engine].precisions)):
        raise BertFtError(
            f"-engine {engine} has no -precision {precision}; leave -engine out, or give {' or '.join(has)}"
        )
    named = "openvino" if engine == AUTO and precision == "int8" else engine
    if named in ENGINES:
        _check_installed(named, precision)
    if named == "openvino" and precision == "int8":
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
    known = ENGINES.get(options.engine)
    only_processor = known is not None and not known.uses_gpu
    if only_processor and options.device_map:
        notes.append("-device_map has no effect: this engine uses the processor only")
    if only_processor or not _uses_gpu(options):
        notes += precision_notes(options.precision, options.engine, this_processor())
    return notes


def _uses_gpu(options: ServerOptions) -> bool:
    return not options.cpu and (bool(options.device_map) or gpu_count() > 0)


def _check_installed(engine: str, precision: str) -> None:
    libraries = ENGINES[engine].libraries
    missing = [name for name in libraries.get(precision, libraries.get("", ())) if find_spec(name) is None]
    if missing:
        flag = f"-precision {precision}" if precision in libraries else f"-engine {engine}"
        raise BertFtError(
            f'{flag} needs {" and ".join(missing)}, which this Python has not: pip install "bert-ft[{engine}]"'
        )
