"""A long stream through a pipe: does memory grow, is anything lost, how fast, how late?"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import result

from tracegrad.stream import MAGIC, Piece, to_binary

LINES, CLASSES, WIDTH = 64, 4, 1000  # microseconds a step
PER_STEP, LABEL_EVERY = 100, 8  # events a step, steps a label
PART = 80  # steps that are written at a time
QUEUE = ("--queue", "64", "--block", "64")  # small, so that what was sent is soon learned
WARM = 0.4  # share of the events after which memory must not grow
SETTINGS = """
format = 2
task = "digits"
[network]
hidden = [32]
neuron = "LIF"
[learning]
rule = "eprop"
learning_rate = 1e-3
update_every = 4
"""


def part(first: int, rng: np.random.Generator) -> bytes:
    """Binary records of `PART` steps from step `first` on."""
    number = PART * PER_STEP
    time = np.sort(rng.integers(first * WIDTH, (first + PART) * WIDTH, number))
    labels = np.arange(first, first + PART, LABEL_EVERY) * WIDTH + WIDTH - 1
    order = np.argsort(np.concatenate((time, labels)), kind="stable")
    none = np.full(len(order), -1, np.int8)
    value = np.concatenate((rng.integers(0, LINES, number), rng.integers(0, CLASSES, len(labels))))
    label = np.arange(len(order)) >= number
    return to_binary(Piece(np.concatenate((time, labels))[order], value[order], none, label[order]))


def resident(process: int) -> int:
    """KiB of memory that a process has now. Linux only."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def soak(events: int, *options: str) -> dict:
    """Send so many events to `tracegrad stream`, and look at its memory meanwhile."""
    steps, memory = events // PER_STEP, []
    if events % (PART * PER_STEP):
        raise ValueError(f"events must be a multiple of {PART * PER_STEP}, got {events}.")
    with tempfile.TemporaryDirectory() as folder:
        settings, out = Path(folder) / "settings.toml", Path(folder) / "out"
        settings.write_text(SETTINGS)
        ends = ["--lines", str(LINES), "--classes", str(CLASSES), "--dt", str(WIDTH / 1e6), *QUEUE]
        call = [sys.executable, "-m", "tracegrad", "stream", str(settings), "--out", str(out)]
        with (Path(folder) / "said.jsonl").open("wb") as said:
            process = subprocess.Popen(
                [*call, *ends, *options], stdin=subprocess.PIPE, stdout=said, stderr=subprocess.PIPE
            )
            assert process.stdin is not None and process.stderr is not None
            process.stdin.write(MAGIC)
            rng = np.random.default_rng(0)
            for first in range(0, steps, PART):
                process.stdin.write(part(first, rng))  # waits: at most a pipe and a queue are ahead
                memory.append(resident(process.pid))
            _, told = process.communicate()
            if process.returncode:
                raise RuntimeError(told.decode())
        predictions = (Path(folder) / "said.jsonl").read_bytes().count(b"\n")
        found = json.loads((out / "stream.json").read_text())
    warm = memory[int(len(memory) * WARM) :]
    return {
        "events": events,
        "steps": steps,
        "predictions": predictions,
        "counts": found["counts"],
        "latency_seconds": found["latency_seconds"],
        "seconds": found["seconds"],
        "events_per_second": events / found["seconds"],
        "resident_mib": [warm[0] / 1024, warm[-1] / 1024],
        "growth": warm[-1] / warm[0] - 1,
        "spread": (max(warm) - min(warm)) / warm[0],
    }


def main() -> None:
    """The long one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    given = parser.parse_args()
    row = soak(given.events)
    print(json.dumps(row, indent=1))
    settings = {"lines": LINES, "hidden": 32, "rule": "eprop", "update_every": 4}
    settings |= {"events_per_step": PER_STEP, "steps_per_label": LABEL_EVERY, "warm": WARM}
    print(result.write("stream", settings, [row]))


if __name__ == "__main__":
    main()
