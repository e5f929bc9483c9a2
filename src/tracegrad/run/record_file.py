"""Record file: a recorded sequence as NumPy's compressed archive, and back."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tracegrad.errors import DataError
from tracegrad.run.record import Factors, Record

LARGEST = 1 << 30  # bytes of all arrays together
HIDDEN, LOCAL, FACTORS = "hidden.", "factors.local.", "factors."


def to_npz(record: Record) -> bytes:
    """All arrays by name: `inputs`, `hidden.0`, ..., `factors.trace`, `factors.local.emit v`."""
    plain = {n: v for n, v in record._asdict().items() if n not in ("hidden", "factors")}
    arrays = plain | {f"{HIDDEN}{index}": z for index, z in enumerate(record.hidden)}
    if record.factors is not None:
        made = record.factors._asdict()
        local = made.pop("local")
        arrays |= {f"{FACTORS}{name}": value for name, value in made.items()}
        arrays |= {f"{LOCAL}{name}": value for name, value in local.items()}
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_npz(path: Path) -> Record:
    """The record of a file; `DataError` if it is broken."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            if sum(member.file_size for member in found.zip.infolist()) > LARGEST:
                raise ValueError(f"it unpacks to more than {LARGEST} bytes")
            arrays = dict(found)
        return _record(arrays)
    except Exception as error:  # a hostile archive makes zipfile and NumPy raise nearly anything
        raise DataError(f"{path} is broken: {error}. Train again.") from error


def _record(arrays: dict[str, Any]) -> Record:
    factors = None
    if f"{FACTORS}trace" in arrays:
        names = [name for name in Factors._fields if name != "local"]
        made: dict[str, Any] = {name: arrays[f"{FACTORS}{name}"] for name in names}
        made |= {name: int(made[name]) for name in ("neuron", "line")}
        factors = Factors(**made, local=_below(arrays, LOCAL))
    plain = {n: arrays[n] for n in Record._fields if n not in ("hidden", "factors")}
    plain |= {"dt": float(plain["dt"]), "state_name": str(plain["state_name"])}
    hidden = _below(arrays, HIDDEN)
    ordered = tuple(hidden[str(index)] for index in range(len(hidden)))
    return Record(**plain, hidden=ordered, factors=factors)


def _below(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
