"""Write docs/substrates.md and its picture from the result files, and from nothing else."""

import json
import statistics
from pathlib import Path

from result import FOLDER
from tables import source, spread, table

import tracegrad as tg
from tracegrad.run.engine_rule import compiled
from tracegrad.run.hosting import hosted
from tracegrad.run.needed_bits import ENOUGH
from tracegrad.substrate.presets import load, names

PAGE = Path(__file__).resolve().parents[1] / "docs" / "substrates.md"
PICTURE = PAGE.parent / "images" / "substrates.png"
UPDATES = {
    "nearest": "to nearest",
    "stochastic": "by chance",
    "accumulate": "accumulate and fire",
}
HEAD = """# Learning in a chip's numbers

A substrate is what the numbers of a network are: their bits, how they are rounded, and what no two
devices have alike. `tracegrad train TASK --substrate NAME` learns in them, `tracegrad audit RULE
MODEL --substrate NAME` says whether a platform can host a rule. This page is written by
`python bench/substrate_page.py` from the results of `python bench/substrate.py` and
`python bench/device_learner.py`; no number is typed. Accuracies are of test sets, in per cent, mean
± standard deviation over seeds; every network learns online with e-prop and plain SGD, so nothing
is carried beside the weights.

![Accuracy as weights get fewer bits, and as a device deviates more](images/substrates.png)"""
BITS = """## Bits of a weight

Digits, with weights of so many bits and everything else in float. A change smaller than half a
least significant bit is lost if it is rounded to nearest. Rounded by chance it is right in the
mean. An accumulator of 16 bits beside each weight keeps what is left over, and fires when that is a
whole bit: it needs no chance, but three times the memory of an 8-bit weight. It holds 8 least
significant bits, so of weights with many bits, whose changes are more of them, it cuts changes."""
WHOLE = """## Nothing but whole numbers

{presets}

Of the spoken digits one in {share} of the training recordings is used, with the whole official test
set and {spoken_hidden} neurons for {spoken_epochs} epochs; digits are whole, with 128 neurons for
{epochs}. The learning rate of speech is the one of three with the least training loss in float."""
PRESETS = {
    "mcu8": "The preset `mcu8`: weights of 8 bits changed by chance, states, traces and signals\n"
    "of 16 bits, decays of 12.",
    "loihi1": "`loihi1`: traces of 7 bits, one draw a step for all synapses of a matrix.",
    "loihi2": "`loihi2`: the same, and signals and slopes that fit a trace.",
    "reckon": "`reckon`: a weight goes one bit up or down at a time.",
}
MISMATCH = """## Devices that are not alike

A network is trained in float and moved to a device whose time constants, thresholds and gains
deviate, each by a factor $e^{{\\sigma\\xi}}$ with a standard deviation $\\sigma$ of so many per
cent. Then it goes on learning there for {epochs_there} epochs. Its rule knows the nominal values
only. *Won back* is the share of what the move has cost, where that is a point at least; above 100 %
the later epochs gave more."""
COST = """## What the simulation costs

A batch of digits (gradient and update), in turn in one process: processor time of all threads,
which other work hardly changes. `float` may use any plan. Numbers that are rounded at every
step need the plan that goes step by step, and each trace of each sample takes a draw of its own
there, which is what `mcu8` costs: weights alone cost little."""
DEVICE = """## On the device itself

The C library that `tracegrad export c` writes, at {hidden} hidden neurons, learning at every step.
Steps per second are of this machine, flash and RAM of a build for a Cortex-M4. The numbers are
those of a platform, the speed is not; the rule `reckon` is the chip's own, which has no trace of
every synapse."""
FITS = """## Does it fit?

`tracegrad audit RULE MODEL --substrate NAME` compares what a rule on a network needs with the
numbers that are published for a platform, each with its source in the preset. MODEL is a task,
whose network is the one that `tracegrad train` gives it, the folder of a run, or a neuron, yours
(FILE.py:Class) or the library's, in a network that options describe. What nobody has published is
unknown (?), and no unknown is a yes. Here e-prop on {inputs} lines, {hidden}
recurrent LIF neurons and {outputs} readout units, in steps of 1 ms, without data:

{table}

On Loihi 1, line by line, the network being that of `digits`:

```bash
tracegrad audit eprop digits --substrate loihi1
```

```text title="prints"
{loihi1}
```

Layers are laid on cores one after the other: a core holds neurons with all their synapses (with a
trace beside each weight where the rule keeps one), every line that a core hears is an axon into it,
and a neuron takes an axon out for every core that it reaches. What this finds room for fits; what
it does not is unknown, unless a single neuron or the sum of all is too much. Steps per second are
those of the input, against a cited rate; no preset has one for learning.

Which bits are needed depends on data. `tracegrad audit RULE RUN --substrate NAME` rounds one
kind of number at a time on the run's test data, as the platform does it, and finds the fewest bits
with which the gradient of every matrix of weights keeps a cosine of {enough} to that in float. So
many bits fit. With fewer the cosine there is told, and whether it will do only training says."""
LOIHI = """## A rule on Loihi's engine

A learning engine of Loihi's kind computes sums of products of registers, and sees no membrane.
`tracegrad audit eprop digits --substrate loihi2` puts the rule that the neuron has into that form,
for LIF neurons of {mem:g} ms under a readout of {out:g} ms:

```text
{loihi2}
```

`max(0, ...)` because traces have no sign: a value that may be negative has two. On Loihi 1 no
neuron can supply a trace, and the audit says what is missing:

```text
{loihi1}
```"""

SAID = {True: "fits", False: "**no**", None: "?"}


def percent(values: list[float]) -> str:
    """Mean and spread of accuracies."""
    return spread([100 * value for value in values], ".1f")


def picked(rows: list[dict], quantity: str, **what: int | str) -> list[float]:
    """A quantity of the rows that are so."""
    return [r[quantity] for r in rows if all(r[key] == value for key, value in what.items())]


def bits(content: dict) -> str:
    """Accuracy along the bits of a weight, for each way to update."""
    rows = content["rows"]
    counts = sorted({row["bits"] for row in rows if row["update"] != "float"})
    lines = [
        [str(n), *(percent(picked(rows, "accuracy", bits=n, update=u)) for u in UPDATES)]
        for n in counts
    ]
    heads = ["bits", *UPDATES.values()]
    plain = f"In float {percent(picked(rows, 'accuracy', update='float'))}."
    return "\n\n".join([BITS, table(heads, lines), f"{plain} {source(content)}"])


def whole(content: dict) -> str:
    """Float beside whole numbers, with the difference."""
    rows, lines = content["rows"], []
    for task in dict.fromkeys(row["task"] for row in rows):
        plain = picked(rows, "accuracy", task=task, substrate="float")
        for name in dict.fromkeys(row["substrate"] for row in rows if row["task"] == task):
            if name == "float":
                continue
            held = picked(rows, "accuracy", task=task, substrate=name)
            gap = 100 * (statistics.mean(held) - statistics.mean(plain))
            told = [percent(plain), percent(held), f"{gap:+.1f}", str(len(held))]
            lines.append([task.replace("_", " "), f"`{name}`", *told])
    heads = ["task", "numbers", "float", "there", "difference (points)", "seeds"]
    there = {row["substrate"] for row in rows}
    presets = "\n".join(text for name, text in PRESETS.items() if name in there)
    text = WHOLE.format(presets=presets, **content["settings"])
    return "\n\n".join([text, table(heads, lines), source(content)])


def won_back(rows: list[dict]) -> float | None:
    """The share of what a move has cost, if it has cost a point at least."""
    trained, moved, learned = (
        statistics.mean(row[name] for row in rows) for name in ("trained", "moved", "accuracy")
    )
    return None if trained - moved < 0.01 else (learned - moved) / (trained - moved)


def mismatch(content: dict) -> str:
    """Accuracy after the move and after learning there, for each deviation."""
    rows, lines = content["rows"], []
    for level in sorted({row["percent"] for row in rows}):
        here = [row for row in rows if row["percent"] == level]
        back = won_back(here)
        columns = (percent([row[name] for row in here]) for name in ("moved", "accuracy"))
        lines.append([f"{level} %", *columns, "" if back is None else f"{100 * back:.0f} %"])
    heads = ["deviation", "moved", "learned there", "won back"]
    before = percent(list({row["seed"]: row["trained"] for row in rows}.values()))
    where = f"Before the move {before}. {source(content)}"
    text = MISMATCH.format(**content["settings"])
    return "\n\n".join([text, table(heads, lines), where])


def cost(content: dict) -> str:
    """Times of a batch, and their ratios."""
    heads = ["numbers", "processor time (ms)", "× float", "× float, step by step"]
    lines = [
        [r["case"], f"{r['ms']:.1f}", f"{r['ratio']:.2f}", f"{r['ratio_same_plan']:.2f}"]
        for r in content["rows"]
    ]
    return "\n\n".join([COST, table(heads, lines), source(content)])


def device(content: dict) -> str:
    """Speed and size of the library of every rule, in the numbers of some platforms."""
    heads = ["numbers of", "rule", "network", "learning (steps/s)", "running (steps/s)",
             "flash (bytes)", "RAM (bytes)"]  # fmt: skip
    lines = []
    for row in content["rows"]:
        speeds = (f"{row[f'{kind}_steps_per_second']:,.0f}" for kind in ("learning", "running"))
        sizes = (row["flash_bytes"], row["ram_bytes"])
        told = ("unknown" if size is None else f"{size:,}" for size in sizes)
        named = (f"`{row[key]}`" for key in ("substrate", "rule"))
        lines.append([*named, row["network"], *speeds, *told])
    text = DEVICE.format(**content["settings"])
    return "\n\n".join([text, table(heads, lines), source(content)])


def loihi() -> str:
    """A derived rule in the engine's form, and why the older engine has none."""
    mem, out = 20e-3, 20e-3
    layer = tg.Layer(tg.Dense(8, 8), tg.LIF(tau_mem=mem), recurrent=tg.Dense(8, 8))
    net = tg.Network(layer, readout=tg.Readout(8, 2, tau=out), dt=1e-3)
    told = {}
    for name in ("loihi1", "loihi2"):
        engine = load(name).engine
        assert engine is not None  # both presets have one
        found = compiled(net, tg.rules.eprop(), engine)
        told[name] = "\n".join(line for each in found for line in each.lines())
    return LOIHI.format(mem=1e3 * mem, out=1e3 * out, **told)


def fits() -> str:
    """What fits, what does not and what is unknown, of every platform."""
    inputs, hidden, outputs = 64, 128, 10
    layer = tg.Layer(tg.Dense(inputs, hidden), tg.LIF(), recurrent=tg.Dense(hidden, hidden))
    net = tg.Network(layer, readout=tg.Readout(hidden, outputs), dt=1e-3)
    seen = tg.inspect.audit(net, tg.rules.eprop())
    found = {name: hosted(net, seen, name) for name in names()}
    said = {name: {c.what: SAID[c.fits] for c in fit.checks} for name, fit in found.items()}
    rows = dict.fromkeys(what for each in said.values() for what in each)
    lines = [[what, *(each.get(what, "") for each in said.values())] for what in rows]
    told = table(["", *(f"`{name}`" for name in found)], lines)
    sizes = {"inputs": inputs, "hidden": hidden, "outputs": outputs}
    loihi1 = "\n".join(found["loihi1"].lines())
    return FITS.format(table=told, loihi1=loihi1, enough=ENOUGH, **sizes)


PARTS = {
    "substrate_bits": bits,
    "substrate_whole": whole,
    "substrate_mismatch": mismatch,
    "substrate_cost": cost,
    "device_learner": device,
}


def results() -> dict[str, dict]:
    """Those files that were measured."""
    files = {name: FOLDER / f"{name}.json" for name in PARTS}
    return {name: json.loads(path.read_text()) for name, path in files.items() if path.is_file()}


def page() -> str:
    """The whole page."""
    parts = [PARTS[name](content) for name, content in results().items()]
    return "\n\n".join([HEAD, *parts, fits(), loihi()]) + "\n"


def draw() -> None:
    """Accuracy along bits and along deviations, with the spread over seeds."""
    import matplotlib.pyplot as plt

    found = results()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    rows = found["substrate_bits"]["rows"]
    counts = sorted({row["bits"] for row in rows if row["update"] != "float"})
    for update, name in UPDATES.items():
        values = [picked(rows, "accuracy", bits=n, update=update) for n in counts]
        _line(left, counts, values, name)
    plain = 100 * statistics.mean(picked(rows, "accuracy", update="float"))
    left.axhline(plain, color="gray", linestyle="--", label="float")
    left.set(xlabel="bits of a weight", ylabel="test accuracy (%)", xticks=counts)
    rows = found["substrate_mismatch"]["rows"]
    levels = sorted({row["percent"] for row in rows})
    for quantity, name in {"moved": "moved", "accuracy": "then learned there"}.items():
        _line(right, levels, [picked(rows, quantity, percent=n) for n in levels], name)
    right.set(xlabel="deviation of a device (%)", xticks=levels)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(PICTURE, dpi=90)
    plt.close(figure)


def _line(axes, places: list[int], values: list[list[float]], name: str) -> None:
    means = [100 * statistics.mean(each) for each in values]
    errors = [100 * statistics.stdev(each) if len(each) > 1 else 0.0 for each in values]
    axes.errorbar(places, means, errors, marker="o", markersize=3, capsize=2, label=name)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    draw()
