"""What the server's flags say of its engine."""

from __future__ import annotations

from bert_serving.server.options import ServerOptions

from bert_ft.engines import ENGINES
from bert_ft.engines.selection import check_engine, select
from bert_ft.errors import BertFtError
from bert_ft.hardware.choice import precision_notes
from bert_ft.hardware.processor import gpu_count, this_processor


def check_flags(options: ServerOptions) -> None:
    """See that the engine and the precision exist, go together, and are installed.

    Raises:
        BertFtError: they do not; or another of the engine's flags is wrong.
    """
    check_engine(options.engine, options.precision, options.calibration_texts)
    for pair in options.engine_option:
        if "=" not in pair:
            raise BertFtError(f"-engine_option {pair}: write it as KEY=VALUE")


def definite_precision(options: ServerOptions) -> str:
    """That of ``-precision``, or what auto takes here; it does not depend on the engine."""
    return select("tensorflow", options.precision, uses_gpu(options)).precision


def engine_notes(options: ServerOptions) -> list[str]:
    """Lines for the log about flags that this engine does not use, and about a precision that does not fit."""
    notes = []
    known = ENGINES.get(options.engine)
    only_processor = known is not None and not known.uses_gpu
    if options.calibration_texts is not None and options.precision != "int8":
        notes.append("-calibration_texts has no effect: only -precision int8 measures value ranges")
    if only_processor and options.device_map:
        notes.append("-device_map has no effect: this engine uses the processor only")
    if only_processor or not uses_gpu(options):
        notes += precision_notes(options.precision, options.engine, this_processor())
    return notes


def uses_gpu(options: ServerOptions) -> bool:
    """Whether the workers are to use GPUs, and there may be one."""
    return not options.cpu and (bool(options.device_map) or gpu_count() > 0)
