"""export: `tracegrad export FORMAT RUN`, a trained network for another tool."""

from collections.abc import Callable

from tracegrad.errors import UsageError
from tracegrad.export.c_command import export_c
from tracegrad.run.nir_command import export_nir

FORMATS: dict[str, Callable[[list[str]], None]] = {"c": export_c, "nir": export_nir}


def export(arguments: list[str]) -> None:
    """Write a trained network in one of the formats."""
    if not arguments or arguments[0] not in FORMATS:
        raise UsageError(
            f"export needs a format and a run: tracegrad export {'|'.join(FORMATS)} RUN, got "
            f"{' '.join(arguments[:1]) or 'nothing'}."
        )
    FORMATS[arguments[0]](arguments[1:])
