"""Write the tables of docs/rules.md from the rules themselves and their result file."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

from result import FOLDER
from tables import source, spread, table

import tracegrad as tg

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rules.md"
START, END = "<!-- rules -->", "<!-- /rules -->"
KEPT = re.compile(r"^Keeps: (?P<keeps>.+)\.\nDrops: (?P<drops>.+)\.$", re.MULTILINE)
NOTHING = "–"
NEEDED = {"layer": "its layer", "beyond": "other layers", "transport": "weights of others"}
AS_DRAWN = {
    "rflo": "Its feedback is random, and no weight has learned to agree with it",
    "kernl": "Its kernel is as it starts, before it has learned",
}
ONE, TWO = "CubaLIF", "LIF, two layers"
KINDS = {ONE: ("input", "recurrent"), TWO: ("lower layer", "input", "recurrent", "readout")}


def kept(make: Callable) -> tuple[str, str]:
    """What a rule keeps and drops, from its docstring."""
    found = KEPT.search(inspect.getdoc(make) or "")
    if found is None:
        raise ValueError(
            f"The docstring of {make.__name__} must end with a line 'Keeps: ... .' and a line "
            "'Drops: ... .'. Add them."
        )
    return found["keeps"], found["drops"]


def parts(rule: tg.Rule) -> list[str]:
    """Names of filter and signal; backpropagation has neither."""
    if not isinstance(rule.influence, tg.learn.influence.AbstractInfluence):
        return [NOTHING, NOTHING]
    names = [type(part).__name__ for part in (rule.filter, rule.signal)]
    return [NOTHING if name in ("NoFilter", "ThroughReadout") else f"`{name}`" for name in names]


def located(row: dict) -> str:
    """Whom a hidden weight needs besides its two neurons and a broadcast."""
    audit = row["audit"]
    if row["offline"]:
        window = audit["memory"]["window"]
        return "a whole sequence" if window is None else f"a window of {steps(window)}"
    hidden = [needs for name, needs in audit["needs"].items() if name.startswith("layers")]
    return ", ".join(t for p, t in NEEDED.items() if any(n[p] for n in hidden)) or "nothing else"


def steps(count: int) -> str:
    """A number of steps in words."""
    return "1 step" if count == 1 else f"{count} steps"


def ideas(rows: dict) -> str:
    """What each rule is."""
    lines = []
    for make in tg.rules.RULES:
        name = make.__name__
        lines.append([f"`{name}`", *kept(make), *parts(make()), located(priced(rows, name))])
    heads = ["rule", "keeps", "drops", "filter", "signal", "a weight also needs"]
    return table(heads, lines).replace("---:", "---")


def priced(rows: dict, name: str) -> dict:
    """The row with the price of a rule: of two layers, if it serves them."""
    return next(row for title in (TWO, ONE) if "audit" in (row := rows[title, name]))


def price(rows: dict) -> str:
    """What each rule costs."""
    lines = []
    for make in tg.rules.RULES:
        row = priced(rows, make.__name__)
        memory, operations = row["audit"]["memory"], row["audit"]["operations"]
        words = f"{memory['traces'] + memory['signal']:,}"
        if row["offline"]:
            window = memory["window"]
            words = f"{memory['kept_per_step'] * (window or 1):,}" + (
                " a step" if window is None else ""
            )
        shared = memory["feedback"] + memory["optimiser"]
        alone = row["network"] if row["network"] != TWO else ""
        lines.append([
            f"`{make.__name__}`",
            words,
            f"{shared:,}" if shared else "",
            f"{operations['learning']:,}",
            f"{operations['learning'] / operations['forward']:.1f}",
            "" if row["offline"] else f"{operations['learning_per_spike']:,}",
            "; ".join(filter(None, (alone, row["variant"]))),
        ])  # fmt: skip
    heads = ["rule", "words a sample", "words shared", "operations a step", "to the network's own",
             "words that a spike moves", "network"]  # fmt: skip
    return table(heads, lines)


def closeness(rows: dict) -> str:
    """Cosine with the exact gradient."""
    lines = []
    for make in tg.rules.RULES:
        name, cells = make.__name__, []
        for title, kinds in KINDS.items():
            found = rows[title, name].get("cosine", {})
            cells += [spread(found[k], ".3f") if k in found else NOTHING for k in kinds]
        draws = max(rows[title, name].get("draws", 0) for title in KINDS)
        if draws:
            lines.append([f"`{name}`", *cells, str(draws) if draws > 1 else ""])
    heads = ["rule", *(f"{title}: {kind}" for title, kinds in KINDS.items() for kind in kinds)]
    return table([*heads, "draws"], lines)


def notes(rows: dict) -> str:
    """Why there is no number, and which networks differ."""
    lines = []
    for make in tg.rules.RULES:
        name = make.__name__
        mine = [rows[title, name] for title in KINDS]
        reasons = {row["not_comparable"] for row in mine if "not_comparable" in row}
        lines += [f"- `{name}` is not compared: {reason}." for reason in sorted(reasons)]
        for row in mine:
            if "refused" in row:
                lines.append(f"- `{name}` refuses {row['network']}. {row['refused']}")
        if name in AS_DRAWN:
            lines.append(f"- `{name}`: {AS_DRAWN[name]}.")
        if mine[0]["variant"]:
            lines.append(f"- `{name}` is compared with {mine[0]['variant']}, to BPTT there.")
    return "\n".join(lines)


def section() -> str:
    """All that stands between the two marks."""
    content = json.loads((FOLDER / "rules.json").read_text())
    rows = {(row["network"], row["rule"]): row for row in content["rows"]}
    s = content["settings"]
    rates = [rows[title, "eprop"]["rates"] for title in KINDS]
    alive = ", ".join(f"{100 * rate:.0f} %" for every in rates for rate in every)
    suite = (
        f"{s['inputs']} lines of random spikes ({100 * s['rate']:.0f} % a step) for {s['steps']} "
        f"steps, {s['hidden']} neurons a layer, recurrent, {s['outputs']} leaky readout units with "
        f"random targets at every step, {s['seeds']} seeds of weights and data. Of the spiking "
        f"neurons {alive} are active in a step (of {ONE}; and of the lower and upper layer of "
        "LIF). Neuron parameters are frozen; every rule has its defaults."
    )
    cost = (
        "Numbers carried for one sample, as they are allocated for an update at every step; "
        "feedback and what belongs to the rule's optimiser is shared by samples. For rules that "
        f"learn from blocks: what reverse mode stores. For {TWO.replace(',', ' in')} unless said."
    )
    close = (
        "Cosine of the angle to the gradient of BPTT for the same sequence, mean ± standard "
        "deviation over seeds; of rules that draw, the mean of the cosine over draws first. A "
        "single draw of a rule that is right in the mean points almost anywhere."
    )
    first = (
        "A weight may use its two neurons, its own memory and a broadcast (error, target or the "
        "readout's output). The last column is what a hidden weight needs besides, over all time, "
        "found by perturbing one quantity after another on a small copy of the networks below."
    )
    told = [
        *(START, "## What each rule is", first, ideas(rows), "## The suite", suite),
        *("## What each costs", cost, price(rows)),
        *("## How close each comes", close, closeness(rows), notes(rows), source(content), END),
    ]
    return "\n\n".join(told)


def written(page: str) -> str:
    """The page with the tables as code and result file make them."""
    before, rest = page.split(START)
    return before + section() + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
