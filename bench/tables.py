"""Write README's section `Measured` from the result files, and from nothing else."""

import json
import statistics
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from result import FOLDER

from tracegrad.bench.rows import BASE
from tracegrad.study.report import markdown_table as table

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- results -->", "<!-- /results -->"
HEADLINES = (
    BASE,
    "stop-gradient",
    "naive e-prop",
    "naive e-prop, Adam every step",
    "eprop, as planned",
    "eprop, Adam every step",
    "eprop, SGD every step",
)
TITLES = {
    "digits": "**Digits**: 8 x 8 scans, one spike a pixel, 25 steps",
    "spoken_digits": "**Spoken digits**: Free Spoken Digit Dataset, official split, one recurrent "
    "layer",
    "braille": "**Braille letters**: tactile events of 12 taxels, 256 steps, 878 for training, "
    "280 for the test",
    "ecg_qtdb": "**ECG**: which of six waves, asked at each of 1300 steps, QT database, 200 "
    "ALIF neurons",
    "nmnist_small": "**N-MNIST**: 1000 recordings for training, 100 for the test, two convolutions",
    "braille_late": "**Braille letters, told late**: steps of 40 ms, an answer in the last "
    "quarter, settings of `bench/braille_late.py`",
}


def spread(values: list[float], form: str) -> str:
    """Mean and standard deviation over seeds; one seed has no spread."""
    mean = f"{statistics.mean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):{form}}" if len(values) > 1 else mean


def updates(every: int | None) -> str:
    """How often the weights change."""
    if every is None:
        return "per sequence"
    return "every step" if every == 1 else f"every {every} steps"


def source(content: dict) -> str:
    """Where the numbers come from; a load above the cores means that times are inflated."""
    machine, versions = content["machine"], content["versions"]
    return (
        f"{machine['processor']}, {machine['cores']} cores (load {machine['load'][1]:.0f}), JAX "
        f"{versions['jax']}, commit {content['commit']}, {content['date'][:10]}."
    )


def accuracy(content: dict) -> str:
    """Test accuracy of every rule, its distance to BPTT, and what the training took."""

    def key(row: dict) -> tuple[str, int]:
        return row["rule"], row["update_every"] or 0

    groups = [list(rows) for _, rows in groupby(sorted(content["rows"], key=key), key)]
    means = {key(rows[0]): statistics.mean(r["accuracy"] for r in rows) for rows in groups}
    lines = []
    for rows in sorted(groups, key=lambda rows: -means[key(rows[0])]):
        rule, every = rows[0]["rule"], rows[0]["update_every"]
        gap = 100 * (means[rule, every or 0] - means["bptt", 0])
        lines.append([
            f"`{rule}`, {updates(every)}",
            spread([100 * r["accuracy"] for r in rows], ".1f"),
            "" if rule == "bptt" else f"{gap:+.1f}",
            f"{100 * statistics.mean(r['spikes_per_step'] for r in rows):.1f} %",
            f"{max(r['seconds'] for r in rows):.0f} s",
            str(len(rows)),
        ])  # fmt: skip
    heads = ["rule", "test accuracy (%)", "to BPTT (points)", "spikes per neuron and step",
             "training at most", "seeds"]  # fmt: skip
    return f"{TITLES[content['name']]}.\n\n{table(heads, lines)}\n\n{source(content)}"


def pattern_generation(content: dict) -> str:
    """Loss along the learning curve."""
    groups = [list(rows) for _, rows in groupby(content["rows"], lambda row: row["rule"])]
    marks, lines = list(groups[0][0]["loss"]), []
    for rows in groups:
        rate = statistics.mean(row["spikes_per_step"] for row in rows)
        lines.append([
            f"`{rows[0]['rule']}`" + (": falls silent" if rate == 0 else ""),
            *(spread([row["loss"][mark] for row in rows], ".1f") for mark in marks),
            f"{100 * rate:.1f} %",
            str(len(rows)),
        ])  # fmt: skip
    heads = ["rule", *(f"loss at {mark}" for mark in marks), "spikes per neuron and step", "seeds"]
    title = (
        "**Pattern generation** (Bellec et al. 2020, settings of NEST): loss after iterations of "
        "SGD with e-prop's\nlearning rate for all. `bptt` and `block_diagonal` differentiate the "
        "reset, e-prop does not."
    )
    return f"{title}\n\n{table(heads, lines)}\n\n{source(content)}"


def memory(content: dict) -> str:
    """Peak memory of a process that learns from a stream, early and late."""
    short, long = content["rows"][0]["steps"]
    lines = [
        [
            f"`{row['rule']}`, {updates(row['update_every'])}",
            *(f"{peak:.1f} MiB" for peak in row["peak_mib"]),
            f"{100 * row['growth']:+.1f} %",
        ]
        for row in content["rows"]
    ]
    heads = ["rule", f"step {short}", f"step {long:,}", "growth"]
    title = "**Memory**: peak of a whole process that learns from one stream, up to a step."
    return f"{title}\n\n{table(heads, lines)}\n\n{source(content)}"


def headlines(content: dict) -> str:
    """Of the training steps, what a planner's user gets, beside the references."""
    rows = [row for row in content["rows"] if row["row"] in HEADLINES]
    kept = [row for row in rows if row["row"] != BASE or sum(map(alike(row), rows)) > 1]
    more = "Every plan, other libraries and curves: [benchmarks](docs/benchmarks.md)."
    return f"{speed(content | {'rows': kept})} {more}"


def alike(row: dict) -> Callable[[dict], bool]:
    """Whether another row is of the same workload."""
    return lambda other: other["workload"] == row["workload"]


def speed(content: dict) -> str:
    """Times and memory of a training step, as ratios to BPTT written by hand."""
    lines = []
    for workload, rows in groupby(content["rows"], lambda row: row["workload"]):
        sizes = content["settings"][workload]
        head = "-".join(str(sizes[k]) for k in ("lines", "hidden", "classes"))
        head = f"{workload} ({head}, {sizes['steps']} steps, batch {sizes['batch']})"
        for row in rows:
            lines.append([
                f"{head}: {row['row']}",
                f"{row['ms']:.1f}",
                f"{row['ratio']:.2f}",
                f"{row['best_ms']:.1f}",
                f"{row['memory_mib']:.0f}",
                f"{row['compile_s']:.1f}",
            ])  # fmt: skip
            head = workload
    heads = ["work", "median (ms)", "× expert BPTT", "best (ms)", "memory (MiB)", "compile (s)"]
    title = (
        "**Speed** of a training step (gradient and Adam; at W3 an update at every step), beside "
        "references\nwritten by hand in JAX for exactly this network, timed in turn; 2 % of "
        "the inputs are spikes."
    )
    return f"{title}\n\n{table(heads, lines)}\n\n{source(content)}"


def crossover(content: dict) -> str:
    """Products against events as the input gets denser."""
    lines = [
        [
            f"{100 * row['density']:g} %",
            f"{row['chunk']:.1f}",
            f"{row['events']:.1f}",
            f"`{row['chosen']}`",
            f"{100 * row['loss']:.0f} %",
        ]
        for row in content["rows"]
    ]
    heads = ["inputs that spike", "chunk (ms)", "events (ms)", "planned", "lost by the plan"]
    title = "**Products or events**, a training step of W1 as the input gets denser."
    return f"{title}\n\n{table(heads, lines)}\n\n{source(content)}"


PARTS = {
    "digits": accuracy,
    "spoken_digits": accuracy,
    "braille": accuracy,
    "ecg_qtdb": accuracy,
    "nmnist_small": accuracy,
    "braille_late": accuracy,
    "pattern_generation": pattern_generation,
    "speed": headlines,
}


def section() -> str:
    """The whole section, between its two marks."""
    intro = (
        "Test accuracy of the last epoch, mean ± standard deviation over seeds, with the defaults "
        "of\n`tracegrad train TASK --rule RULE`: one set of settings a task for all rules, BPTT "
        "included. Those of spoken\ndigits, Braille letters and ECG were tuned with "
        "`block_diagonal` on held-out training sequences; a later\nsetting for Braille letters "
        "was put back after its test accuracy was seen to be lower; letters told late have "
        "settings\nof their own, found in the same way. "
        "An online rule makes\n"
        "more updates in an epoch than BPTT. "
        "A training took at most the time given, on one core beside other work\n(the load says how "
        "much)."
    )
    files = {name: FOLDER / f"{name}.json" for name in PARTS}
    parts = [PARTS[n](json.loads(p.read_text())) for n, p in files.items() if p.is_file()]
    return "\n\n".join([START, intro, *parts, END])


def written(readme: str) -> str:
    """README with the section as the result files make it."""
    before, rest = readme.split(START)
    return before + section() + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
