"""Result files: what was measured, with the commit, versions, machine and its load."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "results"
PACKAGES = ("tracegrad", "jax", "jaxlib", "equinox", "optax", "numpy")


def _commit() -> str:
    """The commit, with a mark if tracked files differ from it, other results apart."""
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _git(
        "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)bench/results"
    )
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    call = ["git", "-C", str(FOLDER.parent), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


COMMIT = _commit()  # at the start: what ran, whatever is edited meanwhile


def write(name: str, settings: dict, rows: list[dict]) -> Path:
    """Write `results/NAME.json` and return its path."""
    FOLDER.mkdir(exist_ok=True)
    content = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": COMMIT,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "settings": settings,
        "rows": rows,
    }
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
