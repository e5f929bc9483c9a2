"""Extras: packages that only some data sets need, imported when one is read."""

from importlib import import_module
from typing import Any

from tracegrad.errors import UsageError


def extra(package: str, purpose: str, group: str = "data") -> Any:
    """The module `package`; `UsageError` that says how to install it where it is missing.

    `group` names the optional dependencies of the library that it belongs to.

    h5py = extra("h5py", "HDF5 files")
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(
            f"{purpose} need the package {package}, which is not installed. "
            f"Run: python -m pip install 'tracegrad[{group}]'."
        ) from error
