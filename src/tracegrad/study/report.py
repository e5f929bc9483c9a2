"""Report: what a study found, in Markdown and pictures, from its result file alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tracegrad.run.table import size, updates
from tracegrad.study.outcome import DONE, FAILED, REFUSED
from tracegrad.study.report_pictures import draw_cost, draw_learning
from tracegrad.study.statistics import METHOD, Paired, Spread
from tracegrad.study.store import Results
from tracegrad.study.study import label
from tracegrad.study.summary import Summary, summaries, varying


def write_report(results: Results, folder: Path) -> Path:
    """Write `report.md` and its pictures into a folder; the path of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    found = summaries(results)
    parts = [f"# {results.name}", results.question, _counted(results, found)]
    for task, some in by_task(found).items():
        parts += [f"## {task}", table(some)]
        if any(summary.done for summary in some):
            parts += [_picture(draw(some, folder, task)) for draw in (draw_learning, draw_cost)]
        parts += _floors(some)
    if settled := chosen(found):
        parts += ["## What tuning chose", settled]
    parts += [*_sentences(found, REFUSED), *_sentences(found, FAILED)]
    parts += ["## How", *_how(results)]
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def by_task(found: list[Summary]) -> dict[str, list[Summary]]:
    """Summaries by their task, in order."""
    tasks = dict.fromkeys(summary.settings["task"] for summary in found)
    return {task: [s for s in found if s.settings["task"] == task] for task in tasks}


def table(found: list[Summary]) -> str:
    """A Markdown table, a line a group that has a done cell; best first."""
    shown = sorted((s for s in found if s.done), key=_order)
    if not shown:
        return "No cell is done."
    names = [name for name in varying([s.settings for s in found]) if name != "rule"]
    columns = [c for c in COLUMNS if any(c.text(summary) for summary in shown)]
    heads = ["rule", *(_short(name) for name in names), *(c.name for c in columns), "seeds"]
    rows = [
        [
            f"`{summary.rule}`",
            *(_value(name, summary) for name in names),
            *(c.text(summary) for c in columns),
            summary.repeated,
        ]
        for summary in shown
    ]
    return markdown_table(heads, rows)


def markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown: the first column to the left, all others to the right."""
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rule, *rows])


def percent(value: Spread | None) -> str:
    """A share with its spread, in per cent."""
    return "" if value is None else spoken(Spread(*_times(value, 100.0)), ".1f")


def spoken(value: Spread | None, form: str) -> str:
    """Mean and spread; one value has none."""
    if value is None:
        return ""
    return f"{value.mean:{form}}" + ("" if value.sd is None else f" ± {value.sd:{form}}")


def difference(summary: Summary) -> str:
    """The paired difference to BPTT with its interval, in points or in units of the loss."""
    if summary.paired is None:
        return ""
    factor, form = (100.0, "+.1f") if summary.accuracy is not None else (1.0, "+.3g")
    mean, low, high, _ = _scaled(summary.paired, factor)
    interval = "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"
    return f"{mean:{form}}{interval}"


class _Column(NamedTuple):
    name: str
    text: Callable[[Summary], str]


COLUMNS = (
    _Column("accuracy (%)", lambda s: percent(s.accuracy)),
    _Column("loss", lambda s: spoken(s.loss, ".4g")),
    _Column("to BPTT, paired [95 %]", difference),
    _Column("batches to the goal", lambda s: _goal(s)),
    _Column("outputs per step (%)", lambda s: percent(s.rate)),
    _Column("step (us)", lambda s: "" if s.microseconds is None else f"{s.microseconds.mean:.0f}"),
    _Column("memory", lambda s: "" if s.memory is None else size(round(s.memory.mean))),
)


def _times(value: Spread, factor: float) -> tuple[float, float | None, int]:
    return value.mean * factor, None if value.sd is None else value.sd * factor, value.n


def _scaled(value: Paired, factor: float) -> Paired:
    low, high = (None if end is None else end * factor for end in (value.low, value.high))
    return Paired(value.mean * factor, low, high, value.n)


def _goal(summary: Summary) -> str:
    reached = summary.iterations
    if reached is None:
        return ""
    return f"{reached.mean:.0f} ({summary.share(reached.n)})"


def _order(summary: Summary) -> float:
    score = summary.score
    assert score is not None  # it has a done cell
    return -score.mean if summary.accuracy is not None else score.mean


def _short(name: str) -> str:
    return {"learning.update_every": "updates"}.get(name, name.rpartition(".")[2])


def _value(name: str, summary: Summary) -> str:
    value = summary.settings.get(name)
    if name == "learning.update_every" and value is not None:
        return updates(None if value == "none" else value)
    return "" if value is None else str(value)


def _counted(results: Results, found: list[Summary]) -> str:
    rows = [row for summary in found for row in summary.rows]
    wanted = len(results.plan["groups"]) * results.plan["seeds"]
    counts = {s: sum(r.outcome.status == s for r in rows) for s in (DONE, REFUSED, FAILED)}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    return (
        f"Size {results.size}: {wanted} cells of {results.plan['seeds']} seeds a line; {told}, "
        f"{wanted - len(rows)} not run yet."
    )


def _picture(path: Path) -> str:
    return f"![{path.stem.replace('-', ', ')}]({path.name})"


def _floors(found: list[Summary]) -> list[str]:
    floors = {name: value for summary in found for name, value in summary.floors.items()}
    told = ", ".join(f"{value:.4f} {name}" for name, value in floors.items())
    return [f"Floors of the loss: {told}."] if told else []


def _sentences(found: list[Summary], status: str) -> list[str]:
    """What was refused or failed, each sentence once with where it was."""
    told: dict[str, dict[str, None]] = {}
    rows = [row for summary in found for row in summary.rows]
    names = varying([row.settings for row in rows])
    for row in rows:
        if row.outcome.status == status:
            where = label({n: row.settings[n] for n in names if n in row.settings})
            seed = "" if status == REFUSED else f", seed {row.seed}"
            told.setdefault(row.outcome.sentence, {})[where + seed] = None
    lines = [f"- {sentence} ({'; '.join(places)})" for sentence, places in told.items()]
    return [f"## {status.capitalize()}", "\n".join(lines)] if lines else []


def fairness(plan: Mapping[str, Any]) -> str:
    """What was tuned for each line of a study, in a sentence."""
    if (tuning := plan["tuning"]) is None:
        return "No setting was tuned for a rule: all have the settings of the study."
    ranges = "; ".join(_range(name, kind) for name, kind in tuning["parameters"].items())
    epochs = "as many epochs" if tuning["epochs"] is None else f"{tuning['epochs']} epochs"
    return (
        f"Tuning: {tuning['trials']} trials of {epochs} for every line, by optuna (TPE), on "
        f"held-out training sequences, the same ranges for all: {ranges}."
    )


def chosen(found: list[Summary]) -> str:
    """A table of what tuning set for each line; empty where nothing was tuned."""
    told = varying([summary.settings for summary in found])
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for summary in found:
        who = label({n: summary.settings[n] for n in told if n in summary.settings})
        for row in summary.rows:
            lines[who or f"rule {summary.rule}", label(row.tuned)] = row.tuned
    names = list(dict.fromkeys(name for tuned in lines.values() for name in tuned))
    rows = [[who, *(_brief(tuned.get(n)) for n in names)] for (who, _), tuned in lines.items()]
    return markdown_table(["line", *map(_short, names)], rows) if names else ""


def _brief(value: float | str | None) -> str:
    if value is None:  # every trial failed
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _how(results: Results) -> list[str]:
    rows = [*results.cells, *results.trials]
    made = {_made(row.outcome.environment) for row in rows if row.outcome.environment}
    hours = sum(row.outcome.seconds for row in rows) / 3600.0
    return [
        f"{fairness(results.plan)} A cell may take {results.plan['seconds']:g} s.",
        f"± is the standard deviation over seeds. Differences: {METHOD}.{_folds(results)}",
        f"{hours:.2f} hours of training. " + " ".join(sorted(made)),
    ]


def _folds(results: Results) -> str:
    named = ", ".join(results.plan.get("folds", []))
    return f" Folds take the place of seeds: of {named}." if named else ""


def _range(name: str, kind: list) -> str:
    low, high, log, among = kind
    if among:
        return f"{name} among {', '.join(map(str, among))}"
    return f"{name} from {low:g} to {high:g}{' (log)' if log else ''}"


def _made(environment: dict) -> str:
    versions = ", ".join(f"{n} {v}" for n, v in environment["versions"].items() if v)
    return (
        f"Python {environment['python']}, {versions}; commit {environment['commit']}; "
        f"{environment['platform']}, {environment['cores']} cores, {environment['float']}."
    )
