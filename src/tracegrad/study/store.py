"""Store: the result of a study as one SQLite file, written by one process at a time."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tracegrad.errors import DataError, UsageError
from tracegrad.study.cell import Cell
from tracegrad.study.outcome import Outcome
from tracegrad.study.study import Study

CELL, TRIAL = "cell", "trial"
TABLES = """
PRAGMA user_version = 1;
CREATE TABLE IF NOT EXISTS study (
  one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, question TEXT NOT NULL,
  size TEXT NOT NULL, text TEXT NOT NULL, plan TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cell (
  digest TEXT PRIMARY KEY, kind TEXT NOT NULL, settings TEXT NOT NULL, tuned TEXT NOT NULL,
  seed INTEGER NOT NULL, described TEXT NOT NULL, status TEXT NOT NULL, sentence TEXT NOT NULL,
  metrics TEXT NOT NULL, curves TEXT NOT NULL, environment TEXT NOT NULL, seconds REAL NOT NULL,
  finished TEXT NOT NULL);
"""
FORMAT = 1  # in the header of the file
COLUMNS = ("name", "question", "size", "text", "plan")


class Job(NamedTuple):
    """A cell to run, the group that it is of, what tuning set, and whether it is a trial."""

    cell: Cell
    digest: str
    kind: str
    settings: dict[str, Any]
    tuned: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A finished cell as it is stored; `settings` are the group's, without the seed."""

    digest: str
    kind: str
    settings: dict[str, Any]
    tuned: dict[str, Any]
    seed: int
    described: dict[str, Any]
    outcome: Outcome
    finished: str


@dataclass(frozen=True)
class Results:
    """Everything that a report needs: the study, its plan, and the finished cells and trials.

    The plan holds groups, number of seeds, seconds, tuning, goal and, since there are any, folds.
    """

    name: str
    question: str
    size: str
    text: str
    plan: dict[str, Any]
    cells: list[Row] = field(default_factory=list)
    trials: list[Row] = field(default_factory=list)


class Store:
    """An open result file; nobody else can open it until `close`."""

    def __init__(self, path: Path):
        """Open or make the file; `DataError` if it is none of ours, `UsageError` if it is in use.

        Every row is one transaction, on disk before the next cell is given out: rollback journal,
        full synchronisation, exclusive lock. After a kill SQLite rolls back what was half written.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = sqlite3.connect(path, timeout=0.2, isolation_level=None)
            for setting in ("locking_mode=EXCLUSIVE", "journal_mode=DELETE", "synchronous=FULL"):
                self._base.execute(f"PRAGMA {setting}")
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.execute("COMMIT")
            _check_ours(self._base)
            self._base.executescript(TABLES)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise DataError(f"{path} cannot be opened: {error}.") from error
            raise _in_use(path) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is no result file of a study: {error}.") from error

    def close(self) -> None:
        """Let others open the file."""
        self._base.close()

    def begin(self, study: Study) -> None:
        """Note the study; one of another name or size is refused, a changed grid is taken over."""
        old = self._base.execute("SELECT name, size FROM study").fetchone()
        if old is not None and old != (study.name, study.size):
            raise UsageError(
                f"{self.path} holds the study {old[0]} ({old[1]}), got {study.name} "
                f"({study.size}). Give another file with --out."
            )
        values = (study.name, study.question, study.size, study.text, json.dumps(_plan(study)))
        self._base.execute("INSERT OR REPLACE INTO study VALUES (1, ?, ?, ?, ?, ?)", values)

    def add(self, job: Job, outcome: Outcome) -> None:
        """Record a finished cell, at once on disk; a failed one that ran again is replaced."""
        values = (
            job.digest,
            job.kind,
            json.dumps(job.settings),
            json.dumps(job.tuned),
            job.cell.config.seed,
            json.dumps(job.cell.described),
            outcome.status,
            outcome.sentence,
            json.dumps(outcome.metrics),
            json.dumps(outcome.curves),
            json.dumps(outcome.environment),
            outcome.seconds,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        marks = ", ".join("?" * len(values))
        self._base.execute(f"INSERT OR REPLACE INTO cell VALUES ({marks})", values)

    def outcomes(self) -> dict[str, Outcome]:
        """Outcomes so far, by digest."""
        return {row.digest: row.outcome for row in _rows(self._base)}


def load_results(path: Path) -> Results:
    """Read a result file; `DataError` if there is none or it is not ours."""
    if not path.is_file():
        raise DataError(f"There is no result file {path}. Run the study first.")
    try:
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=0.2)
        _check_ours(base)
        noted = base.execute(f"SELECT {', '.join(COLUMNS)} FROM study").fetchone()
        rows = list(_rows(base))
        base.close()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _in_use(path) from error
        raise DataError(f"{path} is no result file of a study: {error}.") from error
    if noted is None:
        raise DataError(f"{path} holds no study. Run one first.")
    return results(dict(zip(COLUMNS, noted, strict=True)) | {"plan": json.loads(noted[-1])}, rows)


def results(noted: dict[str, Any], rows: Iterable[Row]) -> Results:
    """The results that the present plan asks for, in its order; others in the file do not count."""
    place = {json.dumps(group): index for index, group in enumerate(noted["plan"]["groups"])}
    kept = [row for row in rows if json.dumps(row.settings) in place]
    kept.sort(key=lambda row: (place[json.dumps(row.settings)], row.seed, row.finished))
    cells = [row for row in kept if row.kind == CELL and row.seed < noted["plan"]["seeds"]]
    return Results(**noted, cells=cells, trials=[row for row in kept if row.kind == TRIAL])


def _check_ours(base: sqlite3.Connection) -> None:
    """Refuse a file of another format, with the error of a file that is no database at all."""
    (tables,) = base.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if tables and version != FORMAT:
        raise sqlite3.DatabaseError(f"its format is {version}, expected {FORMAT}")


def _in_use(path: Path) -> UsageError:
    return UsageError(f"{path} is in use by a study that runs. Wait until it ends.")


def _plan(study: Study) -> dict[str, Any]:
    return {
        "groups": [dict(group) for group in study.groups],
        "seeds": study.seeds,
        "seconds": study.seconds,
        "goal": None if study.goal is None else study.goal._asdict(),
        "tuning": None if study.tuning is None else asdict(study.tuning),
        "folds": list(study.folds),
    }


def _rows(base: sqlite3.Connection) -> Iterable[Row]:
    for found in base.execute("SELECT * FROM cell ORDER BY rowid"):
        digest, kind, settings, tuned, seed, described, status, sentence, *rest = found
        metrics, curves, environment, seconds, finished = rest
        yield Row(
            digest,
            kind,
            json.loads(settings),
            json.loads(tuned),
            seed,
            json.loads(described),
            Outcome(
                status,
                sentence,
                json.loads(metrics),
                json.loads(curves),
                json.loads(environment),
                seconds,
            ),
            finished,
        )
