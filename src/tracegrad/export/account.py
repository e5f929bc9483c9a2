"""Account: what the library needs on a device: RAM, flash, and operations a step."""

import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tracegrad.export.model import Model

SIZED = '#include "learner.h"\n\nextern tg_learner tg_sized;\ntg_learner tg_sized;\n'
CORTEX = ("arm-none-eabi-gcc", ("-mcpu=cortex-m4", "-mthumb"))
HOST = ("cc", ())


class Measured(NamedTuple):
    """What a compiler made of the library, in bytes: flash (code and weights), and RAM."""

    compiler: str
    flash: int
    ram: int


class Operations(NamedTuple):
    """Of one step of learning, at most: what is zero is left out as it comes."""

    additions: int
    products: int
    draws: int


def measured(folder: Path) -> Measured | None:
    """Sizes as a Cortex-M4 has them, else those of this machine; None without a compiler."""
    for name, flags in (CORTEX, HOST):
        size = shutil.which(name.replace("gcc", "size") if name.endswith("gcc") else "size")
        if shutil.which(name) is not None and size is not None:
            return _compiled(folder, name, flags, size)
    return None


def _compiled(folder: Path, compiler: str, flags: tuple[str, ...], size: str) -> Measured:
    with tempfile.TemporaryDirectory() as made:
        sized = Path(made) / "sized.c"
        sized.write_text(SIZED)
        base = (compiler, "-std=c99", "-O2", "-fno-common", *flags, f"-I{folder}", "-c")
        found = {}
        for source in (folder / "learner.c", sized):
            out = Path(made) / f"{source.stem}.o"
            subprocess.run([*base, str(source), "-o", str(out)], check=True)
            text = subprocess.run([size, str(out)], check=True, capture_output=True, text=True)
            found[source.stem] = [int(n) for n in re.findall(r"\d+", text.stdout)[:3]]
    code, data, _ = found["learner"]
    return Measured(" ".join((compiler, *flags)), code + data, found["sized"][2])


def operations(model: Model) -> Operations:
    """Counts of additions of weights, of products, and of draws of 32 bits."""
    sizes = {name: model.macros[name] for name in ("INPUTS", "NEURONS", "OUTPUTS", "RECURRENT")}
    inputs, neurons, outputs, recurrent = (int(str(value)) for value in sizes.values())
    lines = inputs + recurrent * neurons
    hidden, read = neurons * lines, outputs * neurons
    filtered, rows = int(str(model.macros["FILTERED"])), int(str(model.macros["ROWS"]))
    back = read
    if model.files["rule.h"] == "block.h":
        traces = hidden * (rows * (rows + 2) + 2 * filtered) + 2 * read
        drawn = hidden * (rows + filtered) + read
    elif model.files["rule.h"] == "reckon.h":
        traces, drawn = lines + 2 * neurons, lines + neurons
    else:
        traces, drawn = lines + neurons + 2 * (neurons + outputs), lines + 3 * neurons + 2 * outputs
    chance = {name: "CHANCE" in str(model.macros[name]) for name in ("TRACE", "WEIGHT", "SIGNAL")}
    draws = (
        chance["TRACE"] * drawn + chance["WEIGHT"] * (hidden + read) + chance["SIGNAL"] * neurons
    )
    return Operations(hidden + read, back + traces + hidden + read, draws)


def descent(rate: float) -> str:
    """What plain gradient descent does, for the README."""
    return (
        f"plain gradient descent with learning rate\n2^{round(math.log2(rate))}, from the error of "
        "the readout against 1 for the class and 0 for others."
    )


def readme(model: Model, size: Measured | None, steps: int, learns: str) -> str:
    """The README of the library; `learns` says how it does."""
    counted = operations(model)
    names = ("INPUTS", "NEURONS", "OUTPUTS")
    inputs, neurons, outputs = (model.macros[name] for name in names)
    drawn = (
        "a step of a shift register each" if model.macros["LFSR"] else "two 32-bit products each"
    )
    recurrent = "r" if model.macros["RECURRENT"] else ""
    memory = (
        "No C compiler was there to measure flash and RAM: `make` and `size` show them.\n"
        if size is None
        else f"| measured with `{size.compiler} -O2` | bytes |\n| --- | --- |\n"
        f"| flash: code, tables and trained weights | {size.flash} |\n"
        f"| RAM: one `tg_learner`, all that changes | {size.ram} |\n"
    )
    return f"""# A network that learns on the device: {inputs}-{neurons}{recurrent}-{outputs}

C99 without allocation, floating point or dependency. Put `learner.c` and the headers into a
project, declare one `static tg_learner learner;`, and call

- `tg_init(&learner)` once: the trained weights, at rest;
- `tg_step_class(&learner, events, label)` at every time step: `events[i]` counts what arrives on
  line i; the network runs, and learns that `label` is right;
- `tg_run(&learner, events)` to run without learning, `tg_step(&learner, events, 0)` to carry the
  traces on without a label, `tg_decision(&learner)` to ask;
- `tg_rest(&learner)` between sequences that have nothing to do with each other.

It learns at every step: cell `{model.files["cell.h"]}`, rule `{model.files["rule.h"]}`, signal
`{model.files["signal.h"]}`; {learns}

{memory}
| operations of a step of learning, at most | |
| --- | --- |
| additions of a weight | {counted.additions} |
| products | {counted.products} |
| random draws ({drawn}) | {counted.draws} |

Products with a zero trace or signal, and draws where nothing is to be rounded, are left out.

`make test` compiles the library with warnings as errors and runs {steps} steps of learning; after
each the digest of states, spikes, outputs, weights and traces must be that of the simulation.
`make arm` does the same for a Cortex-M4 under qemu.
"""
