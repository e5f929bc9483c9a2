"""A tiny task, its settings and one finished run, shared by the tests of `run`."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from adam import lenient_adam  # noqa: F401  # a fixture
from killing import lives  # noqa: F401  # a fixture
from tiny import TINY, make_tiny, sequences  # noqa: F401  # shared with the tests of this room
from tracegrad.data import Task
from tracegrad.data.registry import TASKS, Entry
from tracegrad.run.build import build_learner
from tracegrad.run.config import Config
from tracegrad.run.learner import Learner
from tracegrad.run.session import Finished, Session


@pytest.fixture(scope="session")
def tiny() -> Task:
    return make_tiny()


@pytest.fixture
def tiny_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits` is the tiny task, for the command line."""
    monkeypatch.setitem(TASKS, "digits", Entry(make_tiny, "two classes", False))


@pytest.fixture(scope="session")
def tiny_learner(tiny: Task) -> Learner:
    return build_learner(TINY, tiny)


class Done(NamedTuple):
    config: Config
    finished: Finished
    path: Path


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A finished run of the tiny task."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "digits", Entry(make_tiny, "two classes", False))
        finished = Session(Console(quiet=True)).run(TINY, path)
    return Done(TINY, finished, path)


def learning(config: Config, **changes: object) -> Config:
    """The config with other learning settings."""
    return replace(config, learning=replace(config.learning, **changes))
