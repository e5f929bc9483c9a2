"""Cell: one training of a study, with everything that decides what comes out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from tracegrad.data import TASKS, Task
from tracegrad.errors import UsageError
from tracegrad.run.build import build_learner, build_task
from tracegrad.run.config import RULES, Config
from tracegrad.run.config_file import FORMAT, from_toml, to_toml
from tracegrad.run.learner import Learner
from tracegrad.run.user_neuron import source_of
from tracegrad.study.held_out import held_out
from tracegrad.study.options import keywords

SHORT = {"neuron": "network.neuron", "rule": "learning.rule", "signal": "learning.signal"}
SHORT_OF = {long: short for short, long in SHORT.items()}
TASK, RULE = "task_options", "rule_options"


# Settings that the first results did not have yet, as they are where nobody sets them.
LATER = (
    *('substrate = "none"', 'memory_limit = "none"', 'on_nan = "stop"'),
    *('conv = "none"', "shift = 0"),
)


@dataclass(frozen=True)
class Cell:
    """A configuration of a run, options of its task and rule beside it, and what is tested on.

    With `held_out` it is tested on sequences kept from the training set: a trial of tuning never
    sees the test set.
    """

    config: Config
    task_options: Mapping[str, Any] = field(default_factory=dict)
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    held_out: bool = False

    def __post_init__(self) -> None:
        """Refuse options that task or rule do not have."""
        keywords(TASKS[self.config.task].make, self.task_options, TASK)
        keywords(RULES[self.config.learning.rule], self.rule_options, RULE)

    @property
    def described(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON can hold it."""
        source = source_of(self.config.network.neuron)
        digest = None if source is None else hashlib.sha256(source.file.read_bytes()).hexdigest()
        return {
            "config": _without_later(to_toml(self.config)),
            TASK: dict(self.task_options),
            RULE: dict(self.rule_options),
            "held_out": self.held_out,
            "neuron": digest,
        }

    @property
    def digest(self) -> str:
        """SHA-256 of `described`: equal for equal cells, on every machine."""
        return hashlib.sha256(json.dumps(self.described, sort_keys=True).encode()).hexdigest()

    def task(self) -> Task:
        """Make the task."""
        make = TASKS[self.config.task].make
        made = build_task(self.config, keywords(make, self.task_options, TASK))
        return held_out(made) if self.held_out else made

    def learner(self, task: Task) -> Learner:
        """Make the learner; `UsageError` where the rule cannot serve the network."""
        given = keywords(RULES[self.config.learning.rule], self.rule_options, RULE)
        return build_learner(self.config, task, given)


def _without_later(text: str) -> str:
    """Settings without those that came later and are not set: a result keeps its digest."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() not in LATER)


def to_cell(settings: Mapping[str, Any], place: str, folder: Path, held_out: bool = False) -> Cell:
    """The cell of settings by dotted name; `UsageError` names `place` and the setting.

    Names are those of a configuration file (`learning.batch`), `neuron`, `rule` and `signal` for
    short, `task_options.X` and `rule_options.X`. What is left out has the defaults of the task.
    The file of a user's neuron is looked for in `folder`.
    """
    table: dict[str, Any] = {"format": FORMAT}
    options: dict[str, dict[str, Any]] = {TASK: {}, RULE: {}}
    for name, value in settings.items():
        head, _, rest = SHORT.get(name, name).partition(".")
        if head in options and rest:
            options[head][rest] = value
        elif rest:
            table.setdefault(head, {})[rest] = value
        else:
            table[head] = value
    config = from_toml(tomli_w.dumps(table), place, folder)
    try:
        return Cell(config, options[TASK], options[RULE], held_out)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted name: `{"learning": {"batch": 8}}` is `learning.batch`."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inside = flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
        found |= {SHORT_OF.get(name, name): part for name, part in inside.items()}
    return found
