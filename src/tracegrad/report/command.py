"""`tracegrad report`: runs as one page to look at."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from tracegrad.errors import UsageError
from tracegrad.report.page import page
from tracegrad.report.seen import labels, see
from tracegrad.run.folder import RunFolder, runs_in, write
from tracegrad.run.options import parse


@dataclass(frozen=True)
class ReportOptions:
    """Write runs as one HTML page that works from disk; several stand side by side."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of runs, or folders that hold some."""
    out: Path | None = None
    """The page; None: report.html in the folder of the first."""
    instruments: bool = True
    """Judge and price the rule on each trained network: fidelity and audit, some seconds a run."""


def report(arguments: list[str]) -> None:
    """Write the page, and say where it is."""
    options = parse(ReportOptions(), "report", arguments)
    if not options.runs:
        raise UsageError("report needs a run folder: tracegrad report RUN ... [--out FILE.html].")
    folders = [folder for path in options.runs for folder in _runs(path)]
    named = labels([folder.path for folder in folders])
    runs = [see(f, name, options.instruments) for f, name in zip(folders, named, strict=True)]
    out = options.out or options.runs[0] / "report.html"
    write(out, page(runs).encode())
    print(f"Report: {out}")


def _runs(path: Path) -> list[RunFolder]:
    if not path.is_dir():
        raise UsageError(f"There is no run folder {path}.")
    return runs_in(path)
