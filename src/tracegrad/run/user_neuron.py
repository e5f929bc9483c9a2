"""User neuron: a neuron class from a Python file of the user's own, or one of the library."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tracegrad.errors import UsageError
from tracegrad.model import NEURONS, AbstractNeuron
from tracegrad.model.neuron import check_neuron


class Source(NamedTuple):
    """Where a user's neuron is: its file, and the name of its class."""

    file: Path
    name: str


def source_of(named: str) -> Source | None:
    """The file and class that `FILE.py:Class` names, None for a neuron of the library.

    `UsageError` for what is neither; the file is not looked at.
    """
    library = [made.__name__ for made in NEURONS]
    if named in library:
        return None
    file, colon, name = named.rpartition(":")
    if not colon or not name or not file.endswith(".py"):
        raise UsageError(
            f"A neuron is named FILE.py:Class or is one of {', '.join(library)}, got {named!r}."
        )
    return Source(Path(file), name)


def load_neuron(named: str) -> AbstractNeuron:
    """The neuron, with its defaults, that `FILE.py:Class` or the name of a library neuron means.

    The file is run as a module. `UsageError` with one sentence for a file that is missing or fails,
    a class that is missing, no neuron, not made without arguments, or fails in a step of 1 ms.
    """
    source = source_of(named)
    if source is None:
        return next(made for made in NEURONS if made.__name__ == named)()
    file, name = source
    module = _run(file)
    make: Any = vars(module).get(name)
    if not _is_neuron(make):
        raise UsageError(_no_neuron(module, file, name))
    try:
        made = make()
    except Exception as error:  # whatever the user's code raises
        raise UsageError(
            f"{name} of {file} must be made without arguments: {first_line(error)} Give every "
            "parameter a default, and define all methods of tracegrad.AbstractNeuron."
        ) from error
    try:
        check_neuron(made, 1e-3)
    except Exception as error:  # whatever the user's code raises
        raise broken(made, error) from error
    return made


def broken(neuron: AbstractNeuron, error: Exception) -> UsageError:
    """What to say of a neuron whose own code raised `error`."""
    return UsageError(
        f"{type(neuron).__name__} does not work as a neuron: {first_line(error)} See the contract: "
        "python -c 'import tracegrad; help(tracegrad.AbstractNeuron)'."
    )


def first_line(error: BaseException) -> str:
    """What went wrong in the user's code, as one sentence: the kind of error and its first line."""
    said = str(error).strip().splitlines()
    sentence = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return sentence if sentence.endswith(".") else f"{sentence}."


def _run(file: Path) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    spec = spec_from_file_location(f"user_{file.stem}", file.resolve())
    assert spec is not None and spec.loader is not None  # its name ends in .py
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up annotations that are strings
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise UsageError(
            f"{file} could not be run{_line(error, file)}: {first_line(error)}"
        ) from error
    return module


def _line(error: BaseException, file: Path) -> str:
    """Where in the file it went wrong, if it did there."""
    if isinstance(error, SyntaxError):
        return ""  # its message says it
    lines, trace = [], error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == file.resolve():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""


def _no_neuron(module: ModuleType, file: Path, name: str) -> str:
    there = ", ".join(key for key, made in vars(module).items() if _is_own_neuron(made, module))
    what = "is no neuron" if name in vars(module) else "is missing"
    return (
        f"{name} {what} in {file}. A neuron is a class that derives from tracegrad.AbstractNeuron; "
        f"the file has {there or 'none'}."
    )


def _is_own_neuron(made: object, module: ModuleType) -> bool:
    return _is_neuron(made) and getattr(made, "__module__", None) == module.__name__


def _is_neuron(made: object) -> bool:
    return isinstance(made, type) and issubclass(made, AbstractNeuron)
