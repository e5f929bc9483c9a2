"""Write the measured section of docs/benchmarks.md from the result files, and from nothing else."""

import json
from itertools import groupby
from pathlib import Path

from result import FOLDER
from tables import crossover, memory, source, speed, table

from tracegrad.bench.curve import AXES, exponent, fastest
from tracegrad.bench.disturbance import QUIET
from tracegrad.bench.timing import TURN

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
START, END = "<!-- results -->", "<!-- /results -->"


def shape(sizes: dict) -> str:
    """Sizes of a workload in words."""
    head = "-".join(str(sizes[k]) for k in ("lines", "hidden", "classes"))
    return f"{head}, {sizes['steps']} steps, batch {sizes['batch']}"


def peer_row(row: dict, ours: float | None) -> list[str]:
    """Who, how, and how it compares."""
    slower = f"{row['best_ratio'] / ours:.2f}" if ours else ""
    used = f"{row['growth_mib']:.0f}" if "growth_mib" in row else ""
    return [
        f"{row['peer']}: {row['mode']}",
        f"{row['ms']:.1f}",
        f"{row['ratio']:.2f}",
        f"{row['best_ratio']:.2f}",
        slower,
        used,
        f"{row['compile_s']:.1f}",
        f"{100 * row['others']:.0f} %",
    ]


def peers_at(workload: str, found: list[dict]) -> list[str]:
    """The table of a workload, what was left out and what was not run."""
    ran = sorted(filter(quiet, found), key=lambda r: r["best_ratio"])
    same = [r for r in ran if online(r) == (workload == "W3")]
    ours = [r["best_ratio"] for r in same if r["peer"] == "tracegrad"]
    heads = ["library and mode", "median (ms)", "× expert BPTT", "× at best", "× tracegrad",
             "memory (MiB)", "first step (s)", "others"]  # fmt: skip
    lines = [peer_row(row, min(ours, default=None)) for row in ran]
    loud = [f"{r['peer']} {r['mode']}" for r in found if "ratio" in r and not quiet(r)]
    skipped = [f"{r['peer']} {r.get('mode', '')}: {r['skipped']}" for r in found if "skipped" in r]
    parts = [table(heads, lines)] if lines else []
    parts += [LOUD + "; ".join(loud) + "."] if loud else []
    return parts + (["Not run: " + "; ".join(skipped) + "."] if skipped else [])


def peers(content: dict) -> str:
    """Every peer at every workload, with what was skipped and why."""
    parts = ["## Beside other libraries", PEERS]
    rows = sorted(content["rows"], key=lambda row: row["workload"])
    for workload, group in groupby(rows, lambda row: row["workload"]):
        parts.append(f"**{workload}** ({shape(content['settings'][workload])}):")
        parts += peers_at(workload, list(group))
    about = {r["peer"]: r for r in rows if "differs" in r}
    notes = [f"- {name} ({', '.join(r['packages'])}): {r['differs']}." for name, r in about.items()]
    parts += ["\n".join(notes)] if notes else []
    return "\n\n".join([*parts, source(content)])


def quiet(row: dict) -> bool:
    """Whether it was measured while others hardly used the machine."""
    return "ratio" in row and row["others"] is not None and row["others"] <= QUIET


def used(rows: list[dict]) -> str:
    """What others used of the machine while rows were measured."""
    shares = [row["others"] for row in rows if row.get("others") is not None]
    return f"Others used {100 * min(shares):.0f} to {100 * max(shares):.0f} % of the machine."


def online(row: dict) -> bool:
    """Whether the weights change at every step."""
    return "every step" in row["mode"]


def roofline(content: dict) -> str:
    """Shares of what the machine can do."""
    peaks = content["settings"]
    intro = ROOFLINE.format(
        product=peaks["product"] / 1e9,
        cached=peaks["copy_in_cache"] / 1e9,
        far=peaks["copy_in_memory"] / 1e9,
    )
    heads = ["work and row", "median (ms)", "operations (1e9)", "bytes (MB)",
             "of the product", "of the copy", "of the bound"]  # fmt: skip
    lines = [
        [
            f"{row['workload']}: {row['row']}",
            f"{row['ms']:.1f}",
            f"{row['operations'] / 1e9:.2f}",
            f"{row['bytes'] / 1e6:.0f}",
            *(f"{100 * row['shares'][k]:.0f} %" for k in ("operations", "bytes", "bound")),
        ]
        for row in content["rows"]
    ]
    where = f"{used(content['rows'])} {source(content)}"
    return "\n\n".join(["## Roofline", intro, table(heads, lines), where])


def gpu(content: dict) -> str:
    """Both kinds of product side by side."""
    settings = content["settings"]
    peaks = {kind: settings[f"peaks, {kind}"] for kind in KINDS}
    intro = GPU.format(
        device=settings["device"],
        copy=peaks["float32"]["copy_in_memory"] / 1e12,
        **{kind: peak["product"] / 1e12 for kind, peak in peaks.items()},
    )
    by_row: dict[tuple[str, str], dict[str, dict]] = {}
    for row in content["rows"]:
        by_row.setdefault((row["workload"], row["row"]), {})[row["products"]] = row
    heads = ["work and row", *(f"{kind} ({unit})" for kind in KINDS for unit in ("ms", "×"))]
    lines = [
        [f"{work}: {name}", *(cell for kind in KINDS for cell in timed(found.get(kind)))]
        for (work, name), found in by_row.items()
    ]
    return "\n\n".join(["## On a GPU", intro, table(heads, lines), source(content)])


def timed(row: dict | None) -> list[str]:
    """Median and ratio, or nothing where it was not measured."""
    return ["", ""] if row is None else [f"{row['ms']:.2f}", f"{row['ratio']:.2f}"]


def vehicles(content: dict) -> str:
    """Two ways to carry events, beside products."""
    heads = ["work and row", "median (ms)", "× expert BPTT"]
    lines = [
        [f"{row['workload']}: {row['row']}", f"{row['ms']:.1f}", f"{row['ratio']:.2f}"]
        for row in content["rows"]
    ]
    return "\n\n".join(["## What carries events", VEHICLES, table(heads, lines), source(content)])


def series(rows: list[dict], quantity: str) -> dict[str, dict[float, float]]:
    """Of each plan: value of the axis -> time or memory."""
    names = dict.fromkeys(name for row in rows for name in row.get(quantity, {}))
    return {
        name: {float(r["value"]): r[quantity][name] for r in rows if name in r.get(quantity, {})}
        for name in names
    }


def cell(values: dict[float, float], at: float, form: str) -> str:
    """A number, or nothing where it was not measured."""
    return f"{values[at]:{form}}" if at in values else ""


def rounded(power: float) -> str:
    """Two digits; no sign before zero, which would differ between processors."""
    return f"{round(power, 2) + 0.0:.2f}"


def axis_part(name: str, rows: list[dict]) -> str:
    """Times, memory and exponents along one axis."""
    values = [row["value"] for row in rows]
    kinds = {"time (ms)": ("ms", ".3g"), "memory (MiB)": ("memory_mib", ".3g")}
    lines = []
    for title, (quantity, form) in kinds.items():
        for plan, found in series(rows, quantity).items():
            power = rounded(exponent([*found], [*found.values()])) if len(found) > 1 else ""
            lines.append([f"{plan}, {title}", *(cell(found, v, form) for v in values), power])
    heads = [AXES[name].label, *(f"{v:g}" for v in values), "exponent"]
    rivals = {float(r["value"]): offline(r["ms"]) for r in rows if offline(r.get("ms", {}))}
    taken = ", ".join(f"`{plan}` from {size:g} on" for size, plan in fastest(rivals))
    left = [
        f"{plan} at {row['value']:g} ({why})"
        for row in rows
        for plan, why in row.get("left_out", {}).items()
    ]
    gone = f"Left out: {'; '.join(left)}." if left else "No point was left out."
    said = f"The fastest with one update a sequence: {taken}. {gone}"
    return f"**{AXES[name].label}**\n\n{table(heads, lines)}\n\n{said}"


def offline(times: dict[str, float]) -> dict[str, float]:
    """Rows that do the same: one update after the sequence."""
    return {name: ms for name, ms in times.items() if "every step" not in name}


def curves(content: dict) -> str:
    """All axes, and their picture."""
    groups = groupby(content["rows"], lambda row: row["axis"])
    parts = [axis_part(name, list(rows)) for name, rows in groups]
    budget = CURVES.format(**content["settings"])
    where = f"{used(content['rows'])} {source(content)}"
    return "\n\n".join(["## Curves", budget, PICTURE, *parts, where])


PEERS = """One training step (gradient and Adam) on the same arrays: input spikes, targets and
weights. Each library runs in a process and an environment of its own (`make bench-peers`) and
takes a step in turn with expert BPTT in JAX, so that each ratio is one within a run; `others` is
what others used of the machine meanwhile, and a row with more than a tenth is left out. `× at
best` is the ratio of the shortest times of both, which other work disturbs the least, and `×
tracegrad` is to its fastest row that does the same: an update at every step at W3, one after the
sequence elsewhere. Memory is the growth of the process over what it held before the network was
built."""
LOUD = "Left out, since others used more than a tenth of the machine meanwhile: "
ROOFLINE = """A product of two 2048 x 2048 matrices reaches {product:.0f} GFLOP/s by XLA here, a
copy {cached:.0f} GB/s within the cache (4 MB) and {far:.0f} GB/s in memory (256 MB), read and
write counted. What a row has to do at least is counted from its sizes and spikes
(`tracegrad.bench.cost`); its bound is the longer of the two, at the faster copy. Events do few
operations, in rows, so neither peak binds them."""
VEHICLES = """Events could go as lists through gathers and scatters of XLA itself, which needs no
compiler. They are given the lists of the input's spikes ready made, and the smallest bounds that
hold; the C that is written from the neuron finds them in the array, as in use. Both compute the
gradient of `stop-gradient`, with Adam."""
TURNS = f"""A row's turn lasts {TURN:g} s, or one step where that takes longer: in a training, too,
a step comes after one of the same."""
NARROW = """The same on an older processor, whose vectors hold 8 numbers in place of 16. Events of
bytes are the same input as `uint8`, a quarter of the memory to look through. Turns
were of one step."""
UPDATES = """W1 with an update by Adam every ten steps, as spoken digits are learned by default.
Expert BPTT changes the weights once, after the sequence."""
KINDS = ("float32", "bfloat16")
GPU = """The same training steps on one {device}, where events do not run. Products are of float32
({float32:.0f} TFLOP/s by XLA for 8192 x 8192 matrices), or of bfloat16 summed in float32
({bfloat16:.0f} TFLOP/s); a copy of 256 MB reaches {copy:.2f} TB/s. The sizes of W1 are too small
for such a device: most of its time goes into launching kernels, which is why ten time steps are
one turn of a loop there (`tracegrad.model.over_time`; references included). `×` is to expert BPTT
with the same products."""
CURVES = """One size of W1 varies; T is varied for a single sequence. Exponents are of a power law
fitted to the upper half of the points. A point is left out if its program needs more than
{memory:g} GB or its first run takes longer than {limit:g} s. Memory is that of the compiled
program beyond its input; plans that keep a tape grow with T, the windows and the trace of an
update at every step add nothing to what the outputs need."""
PICTURE = "![Time and memory of a training step as one size grows](images/curves.png)"
PARTS = {
    "speed": lambda content: f"## Every plan\n\n{TURNS}\n\n{speed(content)}",
    "speed_avx2": lambda content: f"## Without AVX-512\n\n{NARROW}\n\n{speed(content)}",
    "updates": lambda content: f"## An update every few steps\n\n{UPDATES}\n\n{speed(content)}",
    "peers": peers,
    "vehicles": vehicles,
    "gpu": gpu,
    "roofline": roofline,
    "curves": curves,
    "crossover": lambda content: f"## Products or events\n\n{crossover(content)}",
    "memory": lambda content: f"## Memory of a stream\n\n{memory(content)}",
}


def section() -> str:
    """The whole section, between its two marks."""
    files = {name: FOLDER / f"{name}.json" for name in PARTS}
    parts = [PARTS[n](json.loads(p.read_text())) for n, p in files.items() if p.is_file()]
    return "\n\n".join([START, *parts, END])


def written(page: str) -> str:
    """The page with the section as the result files make it."""
    before, rest = page.split(START)
    return before + section() + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
