"""Study command: `tracegrad study FILE` runs a study, `study report RESULT` tells of it."""

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tracegrad.errors import UsageError
from tracegrad.run.options import parse
from tracegrad.study.export import export
from tracegrad.study.report import write_report
from tracegrad.study.run import Way, run_study
from tracegrad.study.store import Store, load_results
from tracegrad.study.study_file import load_study, ready_made


@dataclass(frozen=True)
class StudyOptions:
    """Run a grid of trainings; after a kill the same command goes on where it stopped."""

    smoke: bool = False
    """Run the small size of the study, about a minute."""
    workers: int = max(1, (os.cpu_count() or 1) // 2)
    """Worker processes."""
    retry: bool = False
    """Run cells again that failed before."""
    out: Path | None = None
    """Result file; None: studies/NAME-SIZE.sqlite."""


@dataclass(frozen=True)
class ReportOptions:
    """Write the report of a result file, and nothing else."""

    out: Path | None = None
    """Folder of the report; None: beside the result file, with its name."""


def study(arguments: list[str]) -> None:
    """Run a study, or tell of its results."""
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if first in ("report", "export"):
        (_report if first == "report" else _export)(rest)
    elif first in ("-h", "--help"):
        parse(StudyOptions(), "study FILE", ["--help"])
    elif first and not first.startswith("-"):
        _run(first, parse(StudyOptions(), "study FILE", rest))
    else:
        raise UsageError(
            "study needs a file: tracegrad study FILE.toml, or one of "
            f"{', '.join(ready_made())}; tracegrad study report RESULT writes the report again."
        )


def _run(named: str, options: StudyOptions) -> None:
    wanted = load_study(named, "smoke" if options.smoke else "full")
    path = options.out or Path("studies") / f"{wanted.name}-{wanted.size}.sqlite"
    store, console = Store(path), Console()
    try:
        run_study(wanted, store, Way(console, options.workers, options.retry))
    except KeyboardInterrupt as error:
        error.add_note(f"{path} holds what is finished; the same command goes on from there.")
        raise
    finally:
        store.close()
    _told(path, path.with_suffix(""))


def _report(arguments: list[str]) -> None:
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("study report needs a result file: tracegrad study report RESULT.sqlite.")
    options = parse(ReportOptions(), "study report RESULT", arguments[1:])
    path = Path(arguments[0])
    _told(path, options.out or path.with_suffix(""))


def _export(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise UsageError(
            "study export needs a result file and a JSON file: tracegrad study export "
            f"RESULT.sqlite OUT.json, got {len(arguments)}."
        )
    print(export(load_results(Path(arguments[0])), Path(arguments[1])))


def _told(path: Path, folder: Path) -> None:
    found = load_results(path)
    report = write_report(found, folder)
    print(f"Results: {path}")
    print(f"Report: {report}")
