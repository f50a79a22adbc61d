"""Which engine and precision are taken, and whether they can be had: said before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec

from bert_ft.engines import ENGINES, is_place
from bert_ft.engines.openvino.calibration import calibration_texts
from bert_ft.errors import BertFtError
from bert_ft.hardware.choice import AUTO, Choice, choose, is_installed
from bert_ft.hardware.processor import this_processor

PRECISIONS = (AUTO, "fp32", "bf16", "int8")


def check_engine(engine: str, precision: str, calibration_file: str | None = None) -> None:
    """See that an engine and a precision exist, go together, and are installed.

    Args:
        engine, precision: as ``-engine`` and ``-precision`` take them, "auto" too.
        calibration_file: that of ``-calibration_texts``, read for int8 alone.

    Raises:
        BertFtError: they do not.
    """
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
        calibration_texts(calibration_file)


def select(engine: str, precision: str, gpu: bool) -> Choice:
    """Something definite in the place of "auto", for this machine.

    Args:
        gpu: a GPU is used.
    """
    return choose(precision, engine, this_processor(), gpu, is_installed("openvino"))


def _check_installed(engine: str, precision: str) -> None:
    libraries = ENGINES[engine].libraries
    missing = [name for name in libraries.get(precision, libraries.get("", ())) if find_spec(name) is None]
    if missing:
        flag = f"-precision {precision}" if precision in libraries else f"-engine {engine}"
        raise BertFtError(
            f'{flag} needs {" and ".join(missing)}, which this Python has not: pip install "bert-ft[{engine}]"'
        )
