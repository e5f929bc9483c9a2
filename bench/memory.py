"""Does the learner's memory grow with the length of the stream? Peak memory of a whole process."""

import argparse
import json
import resource
import subprocess
import sys

import jax
import numpy as np
import optax
import result

import tracegrad as tg

RULES = {rule().name: rule for rule in tg.rules.RULES}
SIZES = {"rtrl": 8}  # hidden neurons; the others have 128


def stream(rule: str, steps: int, block: int) -> int:
    """Learn from a stream in this process; its peak resident memory in KiB."""
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
    rng = np.random.default_rng(0)
    for _ in range(steps // block):
        xs = (rng.random((block, batch, inputs)) < 0.1).astype(np.float32)
        ys = rng.integers(0, 4, (block, batch)).astype(np.int32)
        state, info = learner.run(state, xs, ys)
        jax.block_until_ready(info)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Compare a short and a long stream, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("RULE", "STEPS", "BLOCK"))
    parser.add_argument("--steps", type=int, nargs=2, default=[100, 100_000])
    arguments = parser.parse_args()
    if arguments.one:
        rule, steps, block = arguments.one
        print(json.dumps(stream(rule, int(steps), int(block))))
        return
    rows = []
    for rule, block in (("block_diagonal", 1), ("block_diagonal", 20), ("eprop", 20), ("rtrl", 20)):
        peak = []
        for steps in arguments.steps:
            call = [sys.executable, __file__, "--one", rule, str(steps), str(block)]
            done = subprocess.run(call, capture_output=True, text=True, check=True)
            peak.append(int(done.stdout) / 1024)
        rows.append(
            {
                "rule": rule,
                "update_every": block,
                "steps": arguments.steps,
                "peak_mib": peak,
                "growth": peak[1] / peak[0] - 1,
            }
        )
        print(rows[-1], flush=True)
    print(result.write("memory", {"batch": 4, "hidden": 128, "rtrl_hidden": 8}, rows))


if __name__ == "__main__":
    main()
