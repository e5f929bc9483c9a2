"""Write docs/tasks.md and a page per task below docs/tasks, from docstrings, defaults and results.

`python bench/task_pages.py` writes the pages; with `--pictures`, one sequence of every task that
needs no data is drawn too, and of those whose data lies in the folder that TRACEGRAD_DATA names.
"""

import argparse
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from good_enough import FOLDER as STUDIES
from tables import spread, table
from which_rule import REAL, accuracies, worded

from tracegrad.data import TASKS
from tracegrad.data.registry import Entry
from tracegrad.run.build import DATA, build_task
from tracegrad.run.config import Config
from tracegrad.run.defaults import defaults
from tracegrad.run.task_picture import draw_task
from tracegrad.study.export import load_export
from tracegrad.study.report import by_task
from tracegrad.study.report import table as results_table
from tracegrad.study.summary import summaries

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES, IMAGES, INDEX = DOCS / "tasks", DOCS / "images" / "tasks", DOCS / "tasks.md"
EXAMPLE = re.compile(r"^task = .+$", re.MULTILINE)
HEAD = """# Tasks

What there is to learn from: a page each, with one sequence as a picture, its recipe, the settings
of `tracegrad train`, and what was reached. These pages are written by `python bench/task_pages.py`
from docstrings, defaults and result files; no number is typed. Where data comes from:
[Data](data.md)."""


def title(name: str) -> str:
    """A task's name as people write it."""
    return name.replace("_", " ").capitalize()


def maker(entry: Entry) -> tuple[Any, dict[str, Any]]:
    """The function that makes a task, and the arguments that its entry gives."""
    make: Any = entry.make
    return (make.func, make.keywords) if isinstance(make, partial) else (make, {})


def told(thing: Any) -> str:
    """A docstring; an example is indented, also where `getdoc` took the indent for that of all."""
    return EXAMPLE.sub(r"    \g<0>", inspect.getdoc(thing) or "")


def shown(value: Any) -> str:
    """Settings with their values; a function by its name, as its address is another every time."""
    if not is_dataclass(value):
        return value.__name__ if callable(value) else repr(value)
    inside = (f"{field.name}={shown(getattr(value, field.name))}" for field in fields(value))
    return f"{type(value).__name__}({', '.join(inside)})"


def recipe(entry: Entry) -> Iterator[str]:
    """The docstring of the task, and of the settings that are its own."""
    make, given = maker(entry)
    yield told(make)
    for parameter in inspect.signature(make).parameters.values():
        settings = given.get(parameter.name, parameter.default)
        if is_dataclass(settings) and not isinstance(settings, type):
            yield f"`{parameter.name}`, by default `{shown(settings)}`:"
            yield told(type(settings))


def trained_with(name: str) -> str:
    """The settings of `tracegrad train`, those that say most."""
    config = defaults(name)
    network, learning = config.network, config.learning
    hidden = [str(n) for n in network.hidden]
    back = "recurrent" if network.recurrent else "not recurrent"
    every = learning.update_every
    return (
        f"{'-'.join(([network.conv] if network.conv else []) + hidden)} {network.neuron} neurons, "
        f"{back}; Adam at {learning.learning_rate:g}, batches of {learning.batch}, "
        f"{learning.epochs} epochs, an update "
        f"{'a sequence' if every is None else f'every {every} steps'}."
    )


def reached(name: str) -> Iterator[str]:
    """Tables of every result there is."""
    for file in REAL:
        of_variant = file.startswith(f"{name}_") and file not in TASKS
        if file != name and not of_variant:
            continue
        lines = [
            [rule, spread(values, ".1f"), str(len(values))] for rule, values in accuracies(file)
        ]
        yield f"{REAL[file][0].upper()}{REAL[file][1:]}:"
        yield table(["rule", "test accuracy (%)", "seeds"], lines)
    for path in sorted(STUDIES.glob("*.json")):
        results = load_export(path)
        some = by_task(summaries(results)).get(name, [])
        if any(summary.done for summary in some):
            yield f"Study `{results.name}`: *{results.question}*"
            yield worded(results_table(some), 0)


def page(name: str) -> str:
    """The page of a task."""
    entry, command = TASKS[name], name.replace("_", "-")
    folder = f" --data {entry.folder}" if entry.needs_data else ""
    picture = IMAGES / f"{name}.png"
    parts = [f"# {title(name)}", f"{entry.summary[0].upper()}{entry.summary[1:]}."]
    if picture.is_file():
        parts.append(f"![One sequence: input, target and weight](../images/tasks/{name}.png)")
    else:
        parts.append("No picture: these recordings were not at hand.")
    parts += [
        "<!-- not run: it trains for minutes, or needs data -->",
        f"```bash\ntracegrad tasks show {command}{folder} --out task.png\n"
        f"tracegrad train {command}{folder}\n```",
        "## Recipe",
        *recipe(entry),
        "## Trained with",
        trained_with(name),
        "## Reached",
        *(list(reached(name)) or ["Not measured yet."]),
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page of all tasks."""
    lines = [
        [f"[{title(name)}](tasks/{name}.md)", entry.summary, "a folder" if entry.needs_data else ""]
        for name, entry in TASKS.items()
    ]
    return f"{HEAD}\n\n{worded(table(['task', 'what', 'needs'], lines), 2)}\n"


def draw() -> None:
    """One sequence of every task whose data is at hand."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    folder = Path(os.environ.get(DATA, ""))
    for name, entry in TASKS.items():
        if not entry.needs_data or (os.environ.get(DATA) and (folder / entry.folder).exists()):
            draw_task(build_task(Config(name)), 0, IMAGES / f"{name}.png")


def main() -> None:
    """Pictures where asked for, then all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true")
    if parser.parse_args().pictures:
        draw()
    PAGES.mkdir(exist_ok=True)
    for name in TASKS:
        (PAGES / f"{name}.md").write_text(page(name), encoding="utf-8")
    INDEX.write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main()
