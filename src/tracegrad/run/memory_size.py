"""memory_size: an amount of memory as one writes it, such as 200MB."""

import re

from tracegrad.errors import UsageError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def bytes_of(key: str, text: str) -> int:
    """The number of bytes; `UsageError` if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    unit = None if found is None else UNITS.get(found[2].upper())
    count = 0 if found is None or unit is None else int(float(found[1]) * unit)
    if count < 1:
        raise UsageError(f"{key} must be an amount of memory such as 200MB or 1GiB, got {text!r}.")
    return count
