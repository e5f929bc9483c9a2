"""Named model: the run, task or neuron that the word MODEL of a command means."""

from pathlib import Path
from typing import NamedTuple

from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.run.options import task_name, task_names
from tracegrad.run.user_neuron import source_of


class NamedModel(NamedTuple):
    """At most one of them: a run's folder, a task, or a neuron as `load_neuron` takes it."""

    run: Path | None = None
    task: str | None = None
    neuron: str | None = None


def named_model(word: str) -> NamedModel:
    """The model that a word means; `UsageError` for one that means none.

    A task or a neuron goes before a folder of the same name, which is ./NAME.
    """
    if word.replace("-", "_") in TASKS:
        return NamedModel(task=task_name(word))
    try:
        source_of(word)
    except UsageError as error:
        if Path(word).is_dir():
            return NamedModel(run=Path(word))
        raise UsageError(
            f"There is no model {word}: MODEL is the folder of a run, a task or a neuron. Tasks "
            f"are {task_names()}. {error}"
        ) from error
    return NamedModel(neuron=word)
