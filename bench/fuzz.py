"""How many inputs is every reader tried with, guided by coverage, and does any break it?

The row of a target stays in `results/fuzz.json`, with its commit, until one of at least as many
seconds takes its place: so a long record can be made in pieces.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import result

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-fuzz" / "bin" / "python"  # has atheris: `make fuzz`
KEPT = ROOT / ".cache" / "fuzz"  # inputs that reached something new, by target
TESTS = ROOT / "tests"
SECONDS, MEMORY = 5, 1024  # of a core for one input, and MiB that the process may have
STUCK = 1200  # seconds of one input, waiting for a core included: code that no signal interrupts
# New inputs of a process at first, and its seconds at most: atheris loses 20 to 130 kB an input
# where generators are instrumented (without it the same inputs take none), so that the next one
# takes twice as many only where this one has taken little of the memory.
FIRST, LONGEST = 2000, 240
DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: \d+ corp: (\d+)/\S+ .*rss: (\d+)Mb")
LIVED = re.compile(r"Done \d+ runs in (\d+) second")


def targets() -> list[str]:
    """Names of all, asked for in another process, as importing them takes a while."""
    asked = "import fuzz_targets; print(*fuzz_targets.TARGETS, sep='\\n')"
    call = [sys.executable, "-c", asked]
    done = subprocess.run(call, env=surroundings(), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def surroundings() -> dict[str, str]:
    """The environment of the processes."""
    path = os.pathsep.join([str(ROOT / "src"), str(TESTS)])
    return os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}


def fuzz(name: str, seconds: int) -> dict:
    """One target for so long, or until something is found: then the end of what was said."""
    row = {"target": name, "inputs": 0, "seconds": seconds, "coverage": 0, "kept": 0}
    row |= {"memory_mib": 0, "found": None}
    left, inputs = seconds, FIRST
    while left > 0:
        done = sliced(name, min(left, LONGEST), inputs)
        found, lived = DONE.search(done.stderr), LIVED.search(done.stderr)
        if done.returncode or found is None or lived is None:
            return row | {"found": done.stdout[-2000:] + done.stderr[-4000:]}
        runs, *sizes = map(int, found.groups())
        row["inputs"] += runs
        for key, size in zip(("coverage", "kept", "memory_mib"), sizes, strict=True):
            row[key] = max(row[key], size)
        left -= max(int(lived[1]), 1)  # it is rounded down: a process of 0 s would never end this
        inputs = 2 * inputs if sizes[-1] < MEMORY / 3 else FIRST
    return row


def sliced(name: str, seconds: int, inputs: int) -> subprocess.CompletedProcess:
    """A process that goes on from what those before it kept, which it tries once more first."""
    folder = KEPT / re.sub(r"\W+", "-", name)
    folder.mkdir(parents=True, exist_ok=True)
    most = inputs + len(list(folder.iterdir()))
    limits = (f"-max_total_time={seconds}", f"-runs={most}")
    options = (*limits, f"-timeout={STUCK}", f"-rss_limit_mb={MEMORY}")
    call = [str(PYTHON), str(TESTS / "fuzz_run.py"), name, str(folder), str(SECONDS), *options]
    return subprocess.run(
        [*call, f"-artifact_prefix={folder.parent}/found-{folder.name}-"],
        env=surroundings(),
        capture_output=True,
        text=True,
    )


def record(path: Path) -> list[dict]:
    """What was tried before; a row without a commit is of that of the file."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text())
    return [{"commit": content["commit"], **row} for row in content["rows"]]


def merged(before: list[dict], row: dict, order: list[str]) -> list[dict]:
    """The rows of targets that there are, in their order, with one more or one in place of it."""
    rows = {old["target"]: old for old in before}
    old = rows.get(row["target"])
    if old is None or old["seconds"] <= row["seconds"]:
        rows[row["target"]] = row
    return [rows[name] for name in order if name in rows]


def main() -> None:
    """All of them, or those that are named; ends with 1 where something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of every target")
    parser.add_argument("--only", nargs="*", help="targets")
    given = parser.parse_args()
    path, order = result.FOLDER / "fuzz.json", targets()
    if unknown := sorted(set(given.only or ()) - set(order)):
        parser.error(f"there is no target {unknown[0]!r}; there are {', '.join(order)}")
    limits = {"seconds_an_input": SECONDS, "memory_mib": MEMORY}
    for name in given.only or order:
        row = {"commit": result.COMMIT} | fuzz(name, given.seconds)
        print(*(f"{key}: {value}" for key, value in row.items()), sep="  ", flush=True)
        if row["found"]:
            raise SystemExit(1)
        # What is done stays, however the run ends.
        result.write("fuzz", limits, merged(record(path), row, order))


if __name__ == "__main__":
    main()
