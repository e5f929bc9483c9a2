"""Environment: what a run was made with."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("tracegrad", "jax", "jaxlib", "equinox", "optax", "numpy")


def environment() -> dict[str, Any]:
    """Python, machine, versions, devices, precision, time, and the commit of the source."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "versions": {name: _version(name) for name in PACKAGES},
        "devices": [str(device) for device in jax.devices()],
        "float": str(jax.numpy.zeros(()).dtype),
        "commit": _commit(),
    }


def numerics() -> dict[str, str]:
    """What the bits of a training depend on besides its settings and data."""
    made = {name: str(_version(name)) for name in PACKAGES}
    made |= {"float": str(jax.numpy.zeros(()).dtype), "device": str(jax.devices()[0].device_kind)}
    made |= {name: os.environ.get(name, "") for name in ("XLA_FLAGS", "JAX_ENABLE_X64")}
    return made | {"processor": platform.machine()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout this file is tracked in, marked if that was changed since."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ("git", "-C", str(Path(__file__).parent), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
