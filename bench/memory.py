"""Does the learner's memory grow with the length of the stream? Peak memory of its process."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import result

import tracegrad as tg

RULES = {rule().name: rule for rule in tg.rules.RULES}
SIZES = {"rtrl": 8}  # hidden neurons; the others have 128


def stream(rule: str, marks: list[int], block: int) -> list[float]:
    """Learn from one stream in this process; its peak memory in MiB up to each mark (in steps).

    Counted from the end of the first block, because compiling needs more than learning. Linux only.
    """
    n, inputs, batch = SIZES.get(rule, 128), 32, 4
    net = tg.Network(
        tg.Layer(tg.Dense(inputs, n, gain=3.0), tg.CubaLIF(), recurrent=tg.Dense(n, n)),
        readout=tg.Readout(n, 4),
        dt=1e-3,
    )
    learner = tg.Learner(
        net, RULES[rule](), tg.losses.cross_entropy(), optax.adam(1e-4), update_every=block
    )
    state = learner.init(jax.random.key(0), batch)
    rng, peaks = np.random.default_rng(0), []
    for done in range(block, marks[-1] + 1, block):
        xs = (rng.random((block, batch, inputs)) < 0.1).astype(np.float32)
        ys = rng.integers(0, 4, (block, batch)).astype(np.int32)
        state, info = learner.run(state, xs, ys)
        jax.block_until_ready(info)
        if done == block:
            Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        if done in marks:
            peaks.append(_peak())
    return peaks


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """A process of its own for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("RULE", "BLOCK"))
    parser.add_argument("--steps", type=int, nargs=2, default=[100, 100_000])
    given = parser.parse_args()
    if given.one:
        print(json.dumps(stream(given.one[0], given.steps, int(given.one[1]))))
        return
    rows, steps = [], list(map(str, given.steps))
    for rule, block in (("block_diagonal", 1), ("block_diagonal", 20), ("eprop", 20), ("rtrl", 20)):
        call = [sys.executable, __file__, "--one", rule, str(block), "--steps", *steps]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        peak = json.loads(done.stdout)
        row = {"rule": rule, "update_every": block, "steps": given.steps, "peak_mib": peak}
        rows.append(row | {"growth": peak[1] / peak[0] - 1})
        print(rows[-1], flush=True)
        print(result.write("memory", {"batch": 4, "hidden": 128, "rtrl_hidden": 8}, rows))


if __name__ == "__main__":
    main()
