"""Study file: a `Study` as TOML, read strictly; a mistake is one sentence that names its place."""

import tomllib
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tracegrad.errors import UsageError
from tracegrad.study.cell import flat
from tracegrad.study.strict import Section, lists
from tracegrad.study.study import Goal, Range, Study, Tuning, label

FORMAT = 1
KEYS = ("format", "name", "question", "base", "grid", "sizes", "tuning", "goal", "folds")
SIZE_KEYS = ("seeds", "seconds", "epochs", "trials", "base", "keep")
FILES = Path(__file__).parent / "files"
MOST = 10_000  # groups; more is a slip of the pen


class _Size(NamedTuple):
    """What a size says."""

    seeds: int
    seconds: float
    epochs: int | None
    trials: int | None
    base: dict[str, Any]
    keep: dict[str, list]


def ready_made() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(path.stem for path in FILES.glob("*.toml"))


def load_study(named: str, size: str) -> Study:
    """Read a study from a TOML file, or one that comes with the package by its name."""
    path = FILES / f"{named}.toml" if named in ready_made() else Path(named)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no study file {named}. Give a TOML file or one of {', '.join(ready_made())}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The study file {named} cannot be read: {error}.") from error
    return read_study(text, str(named), size, path.parent)


def read_study(text: str, file: str, size: str, folder: Path = Path()) -> Study:
    """Read a study; every cell of it is resolved, so that no mistake waits until it runs.

    `UsageError` names the file, the place, what was expected and what came.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long, of lists too deep
        raise UsageError(f"{file} is no valid TOML: {error}.") from error
    whole = Section(table, file)
    if (number := whole.take("format", int, FORMAT)) != FORMAT:
        raise whole.wrong("format", str(FORMAT), number)
    name, question = whole.take("name", str), whole.take("question", str)
    base = flat(whole.take("base", dict, {}))
    grids = _grids(whole)
    chosen = _size(whole, size)
    tuning, goal = _tuning(whole.section("tuning"), chosen.trials), _goal(whole.section("goal"))
    folds = _folds(whole, grids)
    whole.finish(*KEYS)
    _check_keep(chosen.keep, grids, whole)
    epochs = {} if chosen.epochs is None else {"learning.epochs": chosen.epochs}
    groups = _groups(base | epochs | chosen.base, grids, chosen.keep, file)
    counts = chosen.seeds, chosen.seconds
    study = Study(name, question, size, text, folder, groups, *counts, tuning, goal, folds)
    _check_cells(study)
    return study


def _grids(whole: Section) -> list[dict[str, list]]:
    parts = whole.take("grid", list)
    if not parts:
        raise whole.wrong("grid", "one or more tables [[grid]]", parts)
    found = []
    for index, part in enumerate(parts):
        section = Section(part, whole.file, f"grid[{index}]")
        axes = lists(flat(section.left), section)
        if "seed" in axes:
            raise UsageError(f"{whole.file}: grid[{index}].seed is set by sizes. Give seeds there.")
        found.append(axes)
    return found


def _folds(whole: Section, grids: list[dict[str, list]]) -> tuple[str, ...]:
    """Options of the task whose values are folds; every grid varies each of them."""
    if "folds" not in whole.left:
        return ()
    folds = lists({"folds": whole.take("folds", list)}, whole)["folds"]
    for name in folds:
        if not isinstance(name, str) or not name.startswith("task_options."):
            raise whole.wrong("folds", "settings of the form task_options.NAME", name)
        if not all(name in axes for axes in grids):
            raise UsageError(f"{whole.file}: folds names {name}, which not every grid varies.")
    return tuple(folds)


def _size(whole: Section, size: str) -> _Size:
    sizes = whole.section("sizes")
    if sizes is None or set(sizes.left) != {"full", "smoke"}:
        got = "none" if sizes is None else ", ".join(sizes.left) or "none"
        raise UsageError(f"{whole.file}: sizes must be full and smoke, got {got}.")
    made = {}
    for name in ("full", "smoke"):
        section = sizes.section(name)
        assert section is not None
        keep = Section(section.take("keep", dict, {}), whole.file, f"sizes.{name}.keep")
        made[name] = _Size(
            seeds=section.count("seeds"),
            seconds=section.take("seconds", float),
            epochs=section.count("epochs", None),
            trials=section.count("trials", None),
            base=flat(section.take("base", dict, {})),
            keep=lists(flat(keep.left), keep),
        )
        if made[name].seconds <= 0:
            raise section.wrong("seconds", "a positive number", made[name].seconds)
        section.finish(*SIZE_KEYS)
    return made[size]


def _tuning(section: Section | None, trials: int | None) -> Tuning | None:
    if section is None:
        return None
    usual, epochs = section.count("trials"), section.count("epochs", None)
    table = flat_ranges(section.take("parameters", dict), section)
    section.finish("trials", "epochs", "parameters")
    return Tuning(trials or usual, epochs, table)


def flat_ranges(parameters: dict[str, Any], section: Section) -> dict[str, Range]:
    """The ranges of tuned settings, by dotted name."""
    if not parameters:
        raise section.wrong("parameters", "one or more settings with ranges", parameters)
    found: dict[str, Range] = {}
    for name, table in parameters.items():
        inner = Section(table, section.file, f"{section.name}.parameters.{name}")
        if among := inner.take("among", list, []):
            found[name] = Range(among=tuple(among))
            inner.finish("among")
            continue
        low, high = inner.take("low", float), inner.take("high", float)
        log = inner.left.pop("log", False)
        if not isinstance(log, bool):
            raise inner.wrong("log", "true or false", log)
        inner.finish("low", "high", "log", "among")
        if not low < high or (log and low <= 0):
            raise inner.wrong("low", f"below high{' and positive' if log else ''}", low)
        found[name] = Range(low, high, log)
    return found


def _goal(section: Section | None) -> Goal | None:
    if section is None:
        return None
    goal = Goal(section.take("accuracy", float, None), section.take("loss", float, None))
    section.finish("accuracy", "loss")
    if (goal.accuracy is None) == (goal.loss is None):
        raise UsageError(f"{section.file}: goal must be an accuracy or a loss, got {goal}.")
    return goal


def _check_keep(keep: dict[str, list], grids: list[dict[str, list]], whole: Section) -> None:
    for name, values in keep.items():
        known = [value for axes in grids for value in axes.get(name, [])]
        if unknown := [value for value in values if value not in known]:
            raise UsageError(
                f"{whole.file}: sizes keep {name} {unknown[0]!r}, which is in no grid. There are "
                f"{known}."
            )


def _groups(
    base: dict[str, Any], grids: list[dict[str, list]], keep: dict[str, list], file: str
) -> tuple[dict[str, Any], ...]:
    """Every combination of every grid, each once, over the base."""
    found: dict[str, dict[str, Any]] = {}
    for axes in grids:
        kept = {n: [v for v in values if v in keep.get(n, values)] for n, values in axes.items()}
        for values in product(*kept.values()):
            group = base | dict(zip(axes, values, strict=True))
            found.setdefault(label(dict(sorted(group.items()))), group)
            if len(found) > MOST:
                raise UsageError(f"{file}: the grid has more than {MOST} groups. Make it smaller.")
    if not found:
        raise UsageError(f"{file}: nothing of the grid is kept. Check keep of the size.")
    return tuple(found.values())


def _check_cells(study: Study) -> None:
    """Resolve every group, and what tuning may set, once; no two may come to the same cell."""
    tuned = {} if study.tuning is None else study.tuning.parameters
    found: dict[str, str] = {}
    for group in study.groups:
        if "task" not in group:
            raise UsageError(f"{study.name}: the base or every grid must name a task.")
        if both := [name for name in tuned if name in group]:
            raise UsageError(f"{study.name}: tuning and a grid both set {both[0]}. Leave one out.")
        other = found.setdefault(study.cell(group, 0, {}).digest, label(group))
        if other != label(group):
            raise UsageError(f"{study.name}: {other} and {label(group)} are the same cell.")
        for name, kind in tuned.items():
            for value in kind.among or (kind.low, kind.high):
                study.cell(group, 0, {name: value})
