"""result: result files, what was measured, with the commit, versions, machine and its load."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("tracegrad", "jax", "jaxlib", "equinox", "optax", "numpy")
RESULTS = "bench/results"  # a change of other results does not change what is measured


class Origin(NamedTuple):
    """What is measured: asked at the start, whatever is edited meanwhile."""

    commit: str
    versions: dict[str, str]


def origin() -> Origin:
    """The commit of the checkout this file lies in, and the versions of the packages."""
    versions = {name: _version(name) for name in PACKAGES}
    return Origin(_commit(), {"python": platform.python_version()} | versions)


def write(path: Path, origin: Origin, settings: Mapping[str, Any], rows: Sequence[dict]) -> Path:
    """Write a result file named after its path, with the machine and its load now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "name": path.stem,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": origin.commit,
        "versions": origin.versions,
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "vectors": _vectors(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "settings": settings,
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit, with a mark if tracked files differ from it, results apart."""
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _git(
        "status", "--porcelain", "--untracked-files=no", "--", ":/", f":(top,exclude){RESULTS}"
    )
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    call = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git here
        return ""


def _told(*names: str) -> str:
    """What the system tells of the processor by one of these names, if it does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = next((line for line in lines if line.startswith(names)), "")
    return found.partition(":")[2].strip()


def _vectors() -> str:
    """The widest vector instructions of the processor, where the system tells them."""
    known = _told("flags", "Features").split()
    return next((v for v in ("avx512f", "avx2", "avx", "sse2", "sve", "asimd") if v in known), "")


def _processor() -> str:
    """The processor's name where the system tells it."""
    return _told("model name") or platform.processor() or platform.machine()
