"""A tiny task, its settings and one finished run, shared by the tests of `run`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import optax
import pytest
from rich.console import Console

from tiny import TINY, make_tiny
from tracegrad.data import Task
from tracegrad.data.registry import TASKS, Entry
from tracegrad.run.build import build_learner
from tracegrad.run.config import Config
from tracegrad.run.learner import Learner
from tracegrad.run.session import Finished, Session


@pytest.fixture(scope="session", autouse=True)
def lenient_adam() -> Iterator[None]:
    """Let optax alone mix types: its Adam raises a real to the power of a whole number."""
    strict = optax.adam

    def adam(*arguments: object) -> optax.GradientTransformation:
        made = strict(*arguments)

        def update(*arguments: object) -> tuple:
            with jax.numpy_dtype_promotion("standard"):
                return made.update(*arguments)

        return optax.GradientTransformation(made.init, update)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optax, "adam", adam)
        yield


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
