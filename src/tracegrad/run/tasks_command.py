"""Tasks command: `tracegrad tasks` lists the tasks, `tracegrad tasks show NAME` draws one."""

from dataclasses import dataclass
from pathlib import Path

from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.run.build import build_task
from tracegrad.run.config import Config
from tracegrad.run.options import parse, task_name, task_names
from tracegrad.run.table import print_list
from tracegrad.run.task_picture import draw_task


@dataclass(frozen=True)
class ShowOptions:
    """Draw one training sequence of a task: input, target and weight over time."""

    out: Path | None = None
    """PNG file; None: TASK.png."""
    seed: int = 0
    """Which sequence."""
    data: Path | None = None
    """Folder of the data, for tasks that need one."""


def tasks(arguments: list[str]) -> None:
    """List the tasks, or draw one."""
    if arguments[:1] == ["show"]:
        _show(arguments[1:])
        return
    if arguments:
        raise UsageError(
            f"tracegrad tasks takes no options but show NAME, got {' '.join(arguments)}."
        )
    entries = (
        (name.replace("_", "-"), entry.summary + (" (--data DIR)" if entry.needs_data else ""))
        for name, entry in TASKS.items()
    )
    print_list(entries)


def _show(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        name, rest = task_name(arguments[0]), arguments[1:]
    elif {"-h", "--help"} & set(arguments):
        name, rest = "digits", ["--help"]
    else:
        raise UsageError(
            f"tasks show needs a task: tracegrad tasks show NAME, with {task_names()}."
        )
    options = parse(ShowOptions(), "tasks show NAME", rest)
    path = options.out or Path(f"{name.replace('_', '-')}.png")
    if path.suffix != ".png":
        raise UsageError(f"out must be a PNG file, got {path}. Give a name that ends in .png.")
    task = build_task(Config(name, data=options.data, seed=options.seed))
    print(f"{task.name}: {task.summary}")
    print(f"  {task.lines} lines, {task.outputs} outputs, {task.steps} steps of {task.dt:g} s")
    for floor, value in task.floors.items():
        print(f"  floor of the loss, {floor}: {value:.4f}")
    print(f"  {draw_task(task, options.seed, path)}")
