"""The C library that learns on a device: steps per second here, flash and RAM on a Cortex-M4.

    python bench/device_learner.py --hidden 128 --steps 500

Untrained networks of the digits' size learn digits at every step: every rule that the library has
in the numbers of the 8-bit microcontroller, e-prop in those of the chips, and ReckOn's own rule.
"""

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import jax
import numpy as np
from result import write

import tracegrad as tg
from tracegrad.data import TASKS
from tracegrad.export import reckon
from tracegrad.export.account import measured, operations
from tracegrad.export.device import Block, Device, Lesson, device
from tracegrad.export.model import Model, model
from tracegrad.export.source import source, vector
from tracegrad.export.stream import stream
from tracegrad.substrate.from_preset import substrate

CASES = (
    *(("mcu8", rule) for rule in ("eprop", "block_diagonal", "ottt", "decolle")),
    *((name, "eprop") for name in ("loihi1", "loihi2", "reckon")),
    ("reckon", reckon.NAME),
)
MAIN = """
#include <stdio.h>
#include <time.h>
#include "learner.h"
#include "vector.h"
static tg_learner learner;
static uint8_t events[TG_STEPS][TG_INPUTS];
int main(void) {
    static const uint16_t lines[] = TG_LINES;
    static const uint16_t counts[TG_STEPS] = TG_COUNTS;
    static const int8_t labels[TG_STEPS] = TG_LABELS;
    uint32_t next = 0;
    for (uint32_t t = 0; t < TG_STEPS; t++)
        for (uint32_t k = 0; k < counts[t]; k++) events[t][lines[next++]]++;
    tg_init(&learner);
    const clock_t began = clock();
    for (uint32_t t = 0; t < TG_STEPS; t++) {
        if (LEARNS) tg_step_class(&learner, events[t], (unsigned)labels[t]);
        else tg_run(&learner, events[t]);
    }
    printf("%.6e", (double)(clock() - began) / CLOCKS_PER_SEC / TG_STEPS);
    return (int)(tg_digest(&learner) & 0);
}
"""


def made(platform: str, rule: str, hidden: int) -> tuple[Device, Model]:
    """A network of the digits' size that was not trained, as a device and as whole numbers."""
    layer = tg.Layer(
        tg.Dense(64, hidden, gain=4.0),
        tg.LIF(surrogate=tg.SuperSpike(slope=4.0)),
        tg.Dense(hidden, hidden, gain=0.3),
    )
    net = tg.Network(layer, readout=tg.Readout(hidden, 10, tau=20e-3), dt=1e-3)
    net = net.freeze("*.neuron.*").init(jax.random.key(0))
    where = substrate(platform)
    if rule == reckon.NAME:
        own = reckon.reckon_device(net, where, reckon.usual_rule(net, where))
        return own.base, reckon.reckon_model(own)
    chosen = device(net, Lesson(getattr(tg.rules, rule)(), where, 2.0**-6))
    return chosen, model(chosen)


def seconds(folder: Path, learns: bool, repeats: int) -> list[float]:
    """Seconds of a step, one number a run."""
    (folder / "main.c").write_text(MAIN)
    flags = ("-std=c99", "-O2", "-march=native", f"-DLEARNS={int(learns)}")
    subprocess.run(["cc", *flags, "learner.c", "main.c", "-o", "main"], cwd=folder, check=True)
    runs = [subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, check=True)]
    runs += [
        subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, check=True)
        for _ in range(repeats - 1)
    ]
    return [float(run.stdout) for run in runs]


def one(platform: str, rule: str, hidden: int, block: Block, repeats: int) -> dict:
    """Speed and size of one rule in the numbers of one platform."""
    chosen, found = made(platform, rule, hidden)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in source(chosen, found).items():
            (folder / file).write_text(text)
        (folder / "vector.h").write_text(vector(block, np.zeros(block.steps, int)))
        learning, running = (seconds(folder, learns, repeats) for learns in (True, False))
        size = measured(folder)
    return {
        "substrate": platform,
        "rule": rule,
        "network": f"64-{hidden}r-10",
        "learning_steps_per_second": 1 / statistics.median(learning),
        "running_steps_per_second": 1 / statistics.median(running),
        "flash_bytes": None if size is None else size.flash,
        "ram_bytes": None if size is None else size.ram,
        "compiler": None if size is None else size.compiler,
        "most_operations": operations(found)._asdict(),
    }


def main() -> None:
    """Measure every case, print, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    block = stream(TASKS["digits"].make(), options.steps)
    rows = []
    for case in CASES:
        rows.append(one(*case, options.hidden, block, options.repeats))
        print(rows[-1])
    settings = {"hidden": options.hidden, "steps": options.steps, "repeats": options.repeats}
    print(f"Results: {write('device_learner', settings, rows)}")


if __name__ == "__main__":
    main()
