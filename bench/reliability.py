"""How much load is held, how many faults are survived, how many inputs tried, and what is lost?

Runs the tests that count such things, writes `results/reliability.json` and the tables of
docs/reliability.md. With `--slow` the long ones too: 300 kills and more, ten million events. The
row of a file of tests stays, with its commit, until one of as long tests takes its place: so a long
record can be made in pieces.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import result
from tables import source, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
START, END = "<!-- results -->", "<!-- /results -->"


class Count(NamedTuple):
    """A line of the table: what a number that tests of a file tell stands for."""

    file: str
    name: str  # of the property, or `tests`: how many passed
    said: str
    of: str | None = None  # another property, that says how many of these


COUNTS = (
    Count("stream/test_soak.py", "events", "events through a stream, in and accounted for"),
    Count("run/test_kill.py", "kills", "trainings killed, and within a write of a checkpoint",
          of="kills_within_a_write"),
    Count("run/test_processes.py", "processes_killed", "one of two processes killed"),
    Count("run/test_resume.py", "tests", "tests of trainings cut short and resumed"),
    Count("run/test_resume_learners.py", "tests", "tests of learners saved, loaded, carried on"),
    Count("run/test_keeper.py", "power_losses", "disks as a loss of power can leave them"),
    Count("run/test_keeper.py", "disk_faults", "calls to the disk that fail"),
    Count("run/test_checkpoint.py", "flips", "bytes of a checkpoint flipped"),
    Count("run/test_checkpoint.py", "truncations", "places at which a checkpoint is cut"),
    Count("run/test_beside.py", "kills_beside",
          "trainings killed whose arrays lie beside their checkpoint, and within a write",
          of="kills_beside_within_a_write"),
    Count("run/test_beside.py", "flips_beside", "bytes flipped of what lies beside a checkpoint"),
    Count("run/test_beside.py", "disk_faults_beside",
          "calls to the disk that fail for what lies beside it"),
    Count("run/test_keeper.py", "recovered", "newest checkpoints damaged, the one before used"),
    Count("run/test_kill.py", "locks", "second processes on a folder in use"),
    Count("run/test_control.py", "tests", "tests of files for a run that are garbage"),
    Count("test_fuzz.py", "inputs", "edits of good files for the readers"),
)  # fmt: skip

FILES = tuple(dict.fromkeys(count.file for count in COUNTS))


def counted(report: Path) -> dict[str, dict]:
    """Of each file of tests: how many passed, failed or were left out, and the sums of counts."""
    found: dict[str, dict] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.").replace(".", "/") + ".py"
        row = found.setdefault(file, {"file": file, "tests": 0, "failed": 0, "skipped": 0})
        kinds = {child.tag for child in case}
        failed, skipped = kinds & {"failure", "error"}, kinds & {"skipped"}
        row["failed" if failed else "skipped" if skipped else "tests"] += 1
        for one in case.iter("property"):
            row[one.get("name")] = row.get(one.get("name"), 0) + int(one.get("value", 0))
    return found


def tried(files: list[str], slow: bool, workers: int) -> dict[str, dict]:
    """What the tests of these files count; they run as they do elsewhere, by pytest."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        call = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), f"--junitxml={report}"]
        call += ["--slow"] * slow
        subprocess.run([*call, *(f"tests/{file}" for file in files)], cwd=ROOT, env=os.environ)
        made = {"slow": slow, "commit": result.COMMIT}
        return {file: row | made for file, row in counted(report).items()}


def record() -> dict[str, dict]:
    """What was counted before; a row without a commit is of that of the file."""
    path = result.FOLDER / "reliability.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_text())
    made = {"slow": content["settings"].get("slow", False), "commit": content["commit"]}
    return {row["file"]: made | row for row in content["rows"]}


def merged(before: dict[str, dict], found: dict[str, dict]) -> list[dict]:
    """The rows of all files of tests, new ones in place of those of no longer tests."""
    kept = {file: row for file, row in before.items() if row["slow"]}
    rows = before | {f: row for f, row in found.items() if row["slow"] or f not in kept}
    return [rows[file] for file in FILES if file in rows]


def lines(rows: dict[str, dict]) -> list[list[str]]:
    """A line for each count that there is."""
    found = []
    for count in COUNTS:
        row = rows.get(count.file, {})
        if count.name in row:
            inside = f", {row[count.of]:,} of them" if count.of else ""
            times, long = f"{row[count.name]:,}{inside}", "yes" if row["slow"] else ""
            name, commit = f"`tests/{count.file}`", row["commit"][:7]
            found.append([count.said, times, str(row["failed"]), long, commit, name])
    return found


def fuzzed(content: dict) -> str:
    """What readers were tried with by `make fuzz`."""
    rows = [
        [
            r["target"],
            f"{r['seconds']}",
            f"{r['inputs']:,}",
            f"{r['coverage']}",
            f"{r['memory_mib']}",
            "0",
            r.get("commit", content["commit"])[:7],
        ]
        for r in content["rows"]
    ]
    heads = ["reader", "seconds", "inputs", "places reached", "memory (MiB)", "broke it", "commit"]
    limits, total = content["settings"], sum(row["inputs"] for row in content["rows"])
    said = (
        f"Guided by coverage (`make fuzz`), {total:,} inputs in all. A reader breaks by an error "
        f"that it does not promise, by {limits['seconds_an_input']} s of a core for one input, or "
        f"by {limits['memory_mib']} MiB of its process."
    )
    return f"{said}\n\n{table(heads, rows)}\n\n{source(content)}"


def soaked(content: dict) -> str:
    """The long stream of `bench/stream.py`."""
    row = content["rows"][0]
    events, resident = row["counts"]["events"], row["resident_mib"][0]
    said = (
        f"A long stream (`bench/stream.py`): {events['read']:,} events read, "
        f"{events['learned']:,} learned, {events['dropped']} dropped, {events['refused']} refused; "
        f"the {resident:.0f} MiB in memory changed by {100 * row['growth']:+.2f} %."
    )
    return f"{said}\n\n{source(content)}"


def section() -> str:
    """What stands between the marks, from the result files and nothing else."""
    content = json.loads((result.FOLDER / "reliability.json").read_text())
    heads = ["what was done", "times", "lost, wrong or crashed", "long tests too", "commit", "test"]
    head = "Made by `make reliability`, from what the tests count."
    parts = [f"{head}\n\n{table(heads, lines(record()))}\n\n{source(content)}"]
    for name, part in (("stream", soaked), ("fuzz", fuzzed)):
        if (path := result.FOLDER / f"{name}.json").is_file():
            parts.append(part(json.loads(path.read_text())))
    return "\n\n".join([START, *parts, END])


def written(page: str) -> str:
    """The page with the section as the result files make it."""
    before, rest = page.split(START)
    return before + section() + rest.split(END)[1]


def main() -> None:
    """Ends with 1, and leaves result and page as they are, if a test failed or told no count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", action="store_true", help="the long tests too")
    parser.add_argument("--workers", type=int, default=2, help="processes of pytest")
    parser.add_argument("--only", nargs="*", choices=FILES, default=FILES, help="files of tests")
    parser.add_argument("--page", action="store_true", help="write the page only")
    given = parser.parse_args()
    if not given.page:
        found = tried(given.only, given.slow, given.workers)
        failed = [row["file"] for row in found.values() if row["failed"]]
        absent = [
            c.file for c in COUNTS
            if c.file in given.only and not found.get(c.file, {}).get(c.name)
        ]  # fmt: skip
        if failed or absent:
            raise SystemExit(f"Failed: {failed or 'none'}. Without a count: {absent or 'none'}.")
        print(result.write("reliability", {}, merged(record(), found)))
    PAGE.write_text(written(PAGE.read_text()))


if __name__ == "__main__":
    main()
