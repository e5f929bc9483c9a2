"""Settings: what was trained, with what, and in what the runs differ."""

from collections.abc import Callable, Sequence
from typing import Any

from tracegrad.report.section import Block, Section, Table
from tracegrad.report.seen import Seen, flat
from tracegrad.run.table import updates


def settings(runs: Sequence[Seen]) -> Section:
    """A sentence for each run, then a table of what they differ in, and all settings folded."""
    parts: list[Table | str] = [_sentence(run) for run in runs]
    parts.append(_table("Plan of the gradient, and why", runs, _plan))
    parts += [_changes(run) for run in runs if run.changes]
    if len(runs) > 1:
        parts.append(_table("Settings in which the runs differ", runs, _config, only=True))
    parts.append(_table("All settings", runs, _config, folded=True))
    parts.append(_table("Machine and versions", runs, _environment, folded=True))
    text = "The configuration, the plan by which the gradient was computed, and the versions."
    return Section("settings", "What was trained", text, [Block("", parts)])


def _sentence(run: Seen) -> str:
    done, config = run.summary, run.config
    sizes = " and ".join(str(size) for size in config["network.hidden"])
    score = f"test loss {done.loss:.4g}"
    if done.accuracy is not None:
        score = f"{done.accuracy:.1%} of the test set right, {score}"
    return (
        f"{run.label}: {done.rule} on {done.task}, {sizes} {config['network.neuron']} neurons, "
        f"weights changed {updates(done.update_every)}. After {_epochs(run)}: {score}."
    )


def _epochs(run: Seen) -> str:
    return f"{len(run.epochs)} epoch{'s' if len(run.epochs) > 1 else ''}"


def _plan(run: Seen) -> dict[str, Any]:
    return {"plan": run.summary.plan or "not recorded"}


def _config(run: Seen) -> dict[str, Any]:
    return run.config


def _changes(run: Seen) -> Table:
    """What the settings do not say: it was changed on the page that watched."""
    rows = [[c.name, f"{c.value:g}", str(c.epoch), str(c.batch)] for c in run.changes]
    head = ["number", "became", "after epoch", "batch"]
    return Table(f"{run.label}: changed while it trained", head, rows)


def _environment(run: Seen) -> dict[str, Any]:
    return flat(run.environment)


def _table(
    caption: str,
    runs: Sequence[Seen],
    read: Callable[[Seen], dict[str, Any]],
    only: bool = False,
    folded: bool = False,
) -> Table:
    """A row a name, a column a run; with `only` the rows in which runs differ."""
    found = [read(run) for run in runs]
    rows = [
        [name, *(_shown(values.get(name)) for values in found)]
        for name in dict.fromkeys(name for values in found for name in values)
    ]
    if only:
        rows = [row for row in rows if _differs(row)]
    marked = frozenset(at for at, row in enumerate(rows) if _differs(row))
    return Table(caption, ["", *(run.label for run in runs)], rows, marked, folded)


def _differs(row: Sequence[str]) -> bool:
    return len(set(row[1:])) > 1


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
