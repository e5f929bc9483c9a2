"""Draw the picture of README: a network that learned the digits, with the package's own means."""

import tempfile
from pathlib import Path

from rich.console import Console

from tracegrad.run.defaults import defaults
from tracegrad.run.session import Session

IMAGES = Path(__file__).resolve().parent / "images"


def main() -> None:
    """Train as `tracegrad train digits` does, and keep one picture of the run."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        Session(Console()).run(defaults("digits"), run)
        (IMAGES / "three_factors.png").write_bytes((run / "eligibility.png").read_bytes())


if __name__ == "__main__":
    main()
