"""Write docs/which_rule.md, the decision guide, from result files and from nothing else."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean

from good_enough import FOLDER as STUDIES
from good_enough import verdict
from result import FOLDER
from tables import source, spread, table, updates

from tracegrad.study.export import load_export
from tracegrad.study.report import by_task, difference, percent
from tracegrad.study.store import Results
from tracegrad.study.study import label
from tracegrad.study.summary import Summary, summaries

PAGE = Path(__file__).resolve().parents[1] / "docs" / "which_rule.md"
NOTHING = "not measured"
REAL = {
    "digits": "digits",
    "spoken_digits": "spoken digits",
    "braille": "Braille letters",
    "ecg_qtdb": "waves of an ECG, at every step",
    "nmnist_small": "N-MNIST, 1000 recordings, two convolutions",
    "cochlea_speech": "spoken digits heard by the artificial cochlea, 600 sounds",
    "braille_late": "Braille letters, told late",
}
REACHED = 1.02  # times a floor of the loss: so near counts as there
HEAD = """# Which rule?

What was measured, sorted by the question you may have. This page is written by
`python bench/which_rule.py` from the result files in `bench/results` and
`bench/studies/results`; no number is typed, and what was not measured is
[said at the end](#not-measured). For a network of your own the instruments answer better:
[Choose a rule](choosing.md). What each rule is: [Rules](rules.md)."""


def load(name: str) -> dict:
    """A result file."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def studied() -> list[Results]:
    """All exported studies."""
    return [load_export(path) for path in sorted(STUDIES.glob("*.json"))]


def named(summary: Summary) -> str:
    """The rule of a group, and what else of it a study varies."""
    told = summary.settings
    more = f" ({told['signal']} feedback)" if told.get("signal") else ""
    more += " (recurrent)" if told.get("network.recurrent") else ""
    return f"`{summary.rule}`{more}"


def accuracies(name: str) -> Iterator[tuple[str, list[float]]]:
    """Accuracies over seeds of every rule and schedule, in per cent."""
    rows = load(name)["rows"]
    for key in sorted({(row["rule"], row["update_every"] or 0) for row in rows}):
        some = [r for r in rows if (r["rule"], r["update_every"] or 0) == key]
        yield f"`{key[0]}`, {updates(key[1] or None)}", [100 * r["accuracy"] for r in some]


def worded(made: str, columns: int) -> str:
    """A table whose columns after the first hold words, so many of them."""
    return made.replace("---:", "---", columns)


def cosine(name: str, layer: str, **wanted: object) -> float:
    """A cosine of a result file, of the one row that has what is wanted."""
    (row,) = [r for r in load(name)["rows"] if wanted.items() <= r.items()]
    return row[layer]["cosine"] if layer in row else row["layers"][int(layer)]["cosine"]


def short() -> Iterable[str]:
    """Situations and what to take first, each with its number."""
    behind = dict(behind_bptt("eprop"))
    worst = min(behind, key=lambda task: behind[task])
    gain = max(load("gain_cosine")["settings"]["gains"])
    block, eprop = (
        cosine("gain_cosine", "input", rule=rule, recurrent_gain=gain)
        for rule in ("block_diagonal", "eprop")
    )
    lowest, otpe = (
        cosine("depth_cosine", "0", readout="leaky", rule=rule)
        for rule in ("filtered once by the downstream leak", "OTPE")
    )
    ram = {row["rule"]: row["ram_bytes"] / 1024 for row in load("device_learner")["rows"]}
    to_bptt = {(results.name, named(found)): difference(found)
               for results in studied() for found in summaries(results)}  # fmt: skip
    random, local, nothing = (
        to_bptt["yin_yang", rule] for rule in ("`eprop` (random feedback)", "`decolle`", "`sltt`")
    )
    unheard, unheard_local = (
        to_bptt["speaker", rule] for rule in ("`eprop` (random feedback)", "`decolle`")
    )
    yield "## In short"
    heads = ["you have", "begin with", "because", "see"]
    lines = [
        ["a layer or two under a readout", "`eprop`",
         f"at worst {behind[worst]:+.1f} points to BPTT ({worst}), in the mean of {len(behind)} "
         f"tasks {mean(behind.values()):+.1f}", "[accuracy](#accuracy)"],
        ["strong recurrent weights", "`block_diagonal`",
         f"cosine {block:.2f}, `eprop` {eprop:.2f}, at gain {gain:g}", "[recurrence](#recurrence)"],
        ["a deep stack without recurrence", "`otpe`",
         f"cosine {otpe:.2f} in the lowest layer, `eprop` {lowest:.2f}", "[depth](#depth)"],
        ["no way to send weights backwards", "`eprop`, random feedback",
         f"{random} points to BPTT on Yin-Yang, but {unheard} on speakers never heard; `decolle` "
         f"{local} and {unheard_local}", "[memory](#memory)"],
        ["little memory, one leak a layer", "`ottt`",
         f"{ram['ottt']:.0f} KiB of RAM, `eprop` {ram['eprop']:.0f}", "[substrate](#substrate)"],
        ["a task without time", "`sltt`, but measure",
         f"it remembers nothing: {nothing} points to BPTT on Yin-Yang", "[memory](#memory)"],
        ["a few neurons, and patience", "`rtrl`", "exact, online", "[cost](#cost)"],
        ["whole sequences at hand", "`bptt`", "exact, offline: the reference", "[cost](#cost)"],
    ]  # fmt: skip
    yield worded(table(heads, lines), 3)


def tasks() -> Iterable[str]:
    """Accuracy on tasks where BPTT was trained too."""
    yield "## As good as BPTT? {#accuracy}"
    yield (
        "Real tasks with the defaults of the command line, one recurrent layer but where "
        "convolutions are named; the last with settings of its own, the same for all rules: "
        "`bench/braille_late.py`."
    )
    lines = []
    for name, title in REAL.items():
        behind = gaps(name)
        for rule, values in sorted(accuracies(name), key=lambda item: -mean(item[1])):
            gap = f"{behind[rule]:+.1f}" if rule in behind else ""
            lines.append([title, rule, spread(values, ".1f"), gap, str(len(values))])
            title = ""
    heads = ["task", "rule", "test accuracy (%)", "to BPTT (points)", "seeds"]
    yield worded(table(heads, lines), 1)


def gaps(name: str) -> dict[str, float]:
    """Points of every online rule above BPTT on a real task."""
    found = {rule: mean(values) for rule, values in accuracies(name)}
    offline = next(value for rule, value in found.items() if rule.startswith("`bptt`"))
    return {k: value - offline for k, value in found.items() if not k.startswith("`bptt`")}


def behind_bptt(rule: str) -> Iterator[tuple[str, float]]:
    """Points of a rule with its own signal above BPTT: of real tasks, then of studied ones."""
    for name in REAL:
        found = [gap for told, gap in gaps(name).items() if told.startswith(f"`{rule}`")]
        yield REAL[name], mean(found)
    for results in studied():
        for task, some in by_task(summaries(results)).items():
            found = [
                100 * summary.paired.mean
                for summary in some
                if summary.rule == rule and not summary.settings.get("signal") and summary.paired
                and summary.accuracy
            ]  # fmt: skip
            if found:
                yield f"{task}, study {results.name}", mean(found)


def seeds_at(goal: float, found: Summary) -> str:
    """Of a mean below the goal: how many seeds were not, if any."""
    met = sum(row.outcome.metrics["accuracy"] >= goal for row in found.done)
    return f" ({found.share(met)} did)" if met else ""


def reached(results: Results) -> Iterable[str]:
    """Which rules came to the study's goal of accuracy in the mean, on each task, in words."""
    goal = (results.plan["goal"] or {}).get("accuracy")
    for task, some in by_task(summaries(results)).items() if goal else ():
        scored = [s for s in some if s.accuracy is not None]
        met = [named(s) for s in scored if s.accuracy and s.accuracy.mean >= goal]
        less = [named(s) + seeds_at(goal, s) for s in scored if named(s) not in met]
        told = f"{', '.join(met) or 'no rule'} reached {goal:.0%} in the mean"
        yield f"**In words.** On {task} {told}; {', '.join(less) or 'none'} did not."


def floors(results: Results) -> Iterable[str]:
    """At which floor of the loss every rule stops, where a task has several, in words."""
    for task, some in by_task(summaries(results)).items():
        for found in some:
            if found.loss is None or len(found.floors) < 2:
                continue
            below = [n for n, value in found.floors.items() if found.loss.mean <= REACHED * value]
            lowest = min(below, key=lambda name: found.floors[name], default="")
            told = f"is at the floor *{lowest}* ({found.floors[lowest]:.4f})" if lowest else (
                "is above every floor"
            )  # fmt: skip
            yield f"- On {task} {named(found)}, with a loss of {found.loss.mean:.4f}, {told}."


def study_part(results: Results) -> Iterable[str]:
    """One study: what each rule reached, and the verdict of the paired differences."""
    yield f"*{results.question}*"
    lines = []
    for found in summaries(results):
        if not found.done:
            continue
        words = "" if found.paired is None or found.accuracy is None else verdict(found.paired)
        lines.append([
            str(found.settings["task"]), named(found), percent(found.accuracy),
            difference(found), words, found.repeated,
        ])  # fmt: skip
    heads = ["task", "rule", "accuracy (%)", "to BPTT, paired [95 %]", "verdict", "seeds"]
    yield worded(table(heads, lines), 1)
    yield from reached(results)
    if told := "\n".join(floors(results)):
        yield f"Within {REACHED - 1:.0%} of a floor of the loss counts as there:"
        yield told
    yield f"More of it: [When is it good enough?](when_is_it_good_enough.md#{results.name})"


def memory() -> Iterable[str]:
    """A pause to bridge, and a task without one."""
    yield "## Memory and delay {#memory}"
    yield "How long must a network remember before the answer is asked for?"
    for results in studied():
        yield from study_part(results)


def recurrence() -> Iterable[str]:
    """The cosine as recurrent weights grow, and as blocks do."""
    content = load("gain_cosine")
    yield "## Recurrence"
    yield (
        "A block per neuron drops what travels from neuron to neuron through recurrent weights. "
        f"Cosine with the exact gradient of the input weights, {content['settings']['hidden']} LIF "
        f"neurons, {content['settings']['steps']} steps, {content['settings']['nets']} networks, "
        "by the gain of the recurrent weights (1: drawn with variance 1/n):"
    )
    gains = content["settings"]["gains"]
    lines = []
    for rule in ("block_diagonal", "eprop"):
        rows = [row for row in content["rows"] if row["rule"] == rule]
        lines.append([
            f"`{rule}`",
            *(f"{r['input']['cosine']:.3f} ± {r['input']['cosine_std']:.3f}" for r in rows),
        ])  # fmt: skip
    yield table(["rule", *(f"gain {gain:g}" for gain in gains)], lines)
    yield source(content)
    dial = load("locality_dial")
    groups = sorted({row["group"] for row in dial["rows"]})
    yield "Wider blocks, `block(groups)`, up to one block of all, which is `rtrl`:"
    rows = [
        [f"gain {gain:g}", *(f"{r['cosine']:.3f}" for r in dial["rows"] if r["gain"] == gain)]
        for gain in sorted({row["gain"] for row in dial["rows"]})
    ]
    yield table(["cosine", *(f"{group} a block" for group in groups)], rows)
    yield source(dial)


def depth() -> Iterable[str]:
    """The cosine in each of several layers."""
    content = load("depth_cosine")
    sizes = "-".join(map(str, content["settings"]["hidden"]))
    yield "## Depth"
    yield (
        f"A stack of {sizes} neurons without recurrence: cosine with the exact gradient in each "
        "layer, the first is the lowest. What layers above remember is what rules lose below."
    )
    lines = [
        [
            f"{row['rule']}, {row['readout']} readout",
            *(f"{layer['cosine']:.2f} ± {layer['cosine_std']:.2f}" for layer in row["layers"]),
        ]
        for row in content["rows"]
    ]
    layers = range(1, len(content["settings"]["hidden"]) + 1)
    yield table(["what is kept", *(f"layer {n}" for n in layers)], lines)
    yield (
        "*Filtered once by the downstream leak* is what `eprop` does under a leaky readout with "
        "the leak of the layers; *spatial only* is `sltt`."
    )
    yield source(content)


def feedback() -> Iterable[str]:
    """What it costs to send no weight backwards."""
    content = load("pattern_generation")
    last = list(content["rows"][0]["loss"])[-1]
    yield "## No weights backwards {#feedback}"
    yield (
        "Exact feedback needs the weights above in reverse. Fixed random ones need nothing. On "
        f"pattern generation, the loss after {last} iterations:"
    )
    rules = dict.fromkeys(row["rule"] for row in content["rows"])
    lines = []
    for rule in rules:
        rows = [row["loss"][last] for row in content["rows"] if row["rule"] == rule]
        lines.append([f"`{rule}`", spread(rows, ".2f"), str(len(rows))])
    yield table(["rule", f"loss at {last}", "seeds"], lines)
    yield source(content)


def substrate() -> Iterable[str]:
    """Learning in small numbers, and on a microcontroller."""
    whole, device = map(load, ("substrate_whole", "device_learner"))
    yield "## Substrate"
    yield (
        "`eprop` in float, and wholly in numbers of an 8-bit microcontroller (`mcu8`), with few "
        "epochs. Weight bits, mismatch and cost: [in a chip's numbers](substrates.md)."
    )
    lines = []
    for case in dict.fromkeys((row["task"], row["substrate"]) for row in whole["rows"]):
        rows = [r for r in whole["rows"] if (r["task"], r["substrate"]) == case]
        values = [100 * row["accuracy"] for row in rows]
        lines.append([case[0], f"`{case[1]}`", spread(values, ".1f"), str(len(rows))])
    yield worded(table(["task", "numbers", "test accuracy (%)", "seeds"], lines), 1)
    yield source(whole)
    yield "As a C library that learns on the device ([Microcontroller](microcontroller.md)):"
    lines = [
        [
            f"`{row['rule']}`",
            f"{row['ram_bytes'] / 1024:.0f}",
            f"{row['flash_bytes'] / 1024:.0f}",
            f"{row['learning_steps_per_second']:.0f}",
        ]
        for row in device["rows"]
    ]
    heads = ["rule", "RAM (KiB)", "flash (KiB)", "learning steps a second"]
    yield table(heads, lines)
    yield (
        f"A network of {device['rows'][0]['network']}; sizes as compiled for a Cortex-M4, steps as "
        f"compiled for the machine that measured: {source(device)}"
    )


def cost() -> Iterable[str]:
    """Memory and arithmetic, and the time of a training step."""
    rows = {row["rule"]: row["audit"] for row in load("rules")["rows"] if "audit" in row}
    yield "## Cost"
    yield (
        "On the suite of [Rules](rules.md#what-each-costs), for one sample and an update at every "
        "step:"
    )
    lines = []
    for rule in ("rtrl", "block_diagonal", "eprop", "decolle", "ottt", "sltt"):
        memory, operations = rows[rule]["memory"], rows[rule]["operations"]
        words = memory["traces"] + memory["signal"]
        ratio = operations["learning"] / operations["forward"]
        lines.append([f"`{rule}`", f"{words:,}", f"{ratio:.1f}"])
    yield table(["rule", "words carried", "operations, to the network's own"], lines)
    speed = load("speed")
    ratios = {(row["workload"], row["row"]): row["ratio"] for row in speed["rows"]}
    few = {row["row"].split(",")[0]: row["ratio"] for row in load("updates")["rows"]}
    yield (
        f"A training step of W1 by `eprop` takes {ratios['W1', 'eprop, as planned']:.2f} of the "
        "time of BPTT written by hand if weights change once a sequence. A change at every step "
        f"costs more: on one stream (W3) {ratios['W3', 'eprop, Adam every step']:.0f} times with "
        f"Adam and {ratios['W3', 'eprop, SGD every step']:.0f} times with SGD the time of BPTT, "
        f"which changes them once; every ten steps (W1K10), {few['eprop']:.1f} times, and "
        f"{few['block_diagonal']:.1f} by `block_diagonal`, Adam. All of it: "
        "[Benchmarks](benchmarks.md)."
    )
    yield source(speed)


def missing() -> Iterable[str]:
    """What no result file says."""
    yield "## Not measured"
    lines = []
    have = {results.name: results for results in studied()}
    for path in sorted(STUDIES.parent.glob("*.toml")):
        if path.stem not in have:
            lines.append(f"- The study `{path.stem}`: no result yet.")
    for results in have.values():
        for group in results.plan["groups"]:
            done = sum(r.settings == group and r.outcome.status == "done" for r in results.cells)
            if done < results.plan["seeds"]:
                who = label({k: group[k] for k in ("rule", "signal") if k in group})
                told = f"{done} of {results.plan['seeds']} seeds" if done else NOTHING
                lines.append(f"- {group['task']}, {who}: {told}.")
    lines += [
        "- Cosines are of drawn weights, before anything was learned.",
        "- Settings are those of a task, the same for all rules; README says how they were found.",
    ]
    yield "\n".join(lines)


def page() -> str:
    """The whole page."""
    parts = (short, tasks, memory, recurrence, depth, feedback, substrate, cost, missing)
    return "\n\n".join([HEAD, *(text for part in parts for text in part())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
