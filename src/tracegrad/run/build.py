"""Build: from settings to a task, a network, a rule, a loss and a learner."""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import optax

from tracegrad.data import TASKS, Task
from tracegrad.data.registry import Entry
from tracegrad.data.shifted import Shifted
from tracegrad.errors import DataError, UsageError
from tracegrad.learn.loss import Loss
from tracegrad.learn.regulariser import RateRegulariser
from tracegrad.learn.rule import Rule
from tracegrad.model import (
    AbstractNeuron,
    AbstractSurrogate,
    Conv,
    Dense,
    Layer,
    Network,
    Pool,
    Readout,
)
from tracegrad.model.linear import AbstractLinear
from tracegrad.run.config import (
    CLASS_LOSSES,
    READOUT_TAUS,
    READOUTS,
    RULES,
    SIGNALS,
    SURROGATES,
    VALUE_LOSSES,
    Config,
    NetworkConfig,
)
from tracegrad.run.convolutions import Map, connections
from tracegrad.run.learner import Learner
from tracegrad.run.memory_size import bytes_of
from tracegrad.run.numbers import LEARNING_RATE, Parts, adjusted
from tracegrad.run.user_neuron import load_neuron
from tracegrad.substrate.from_preset import substrate

DATA = "TRACEGRAD_DATA"  # environment variable: the folder of all data sets, one folder each
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Ends(NamedTuple):
    """What a network must fit: input lines, outputs, and the time step in seconds.

    `shape` is the map that the lines are (channels, rows, columns), where they are one.
    """

    lines: int
    outputs: int
    dt: float
    shape: Map | None = None


def build_task(config: Config, given: Mapping[str, Any] = NOTHING) -> Task:
    """Make the task; `DataError` if it needs a folder of data and has none.

    The folder is `data` of the settings, or else the set's own below the folder that the
    environment variable TRACEGRAD_DATA names. `given` are arguments of the task's maker beside
    those of the configuration.
    """
    entry = TASKS[config.task]
    folder = (_data_folder(config, entry),) if entry.needs_data else ()
    task, most = entry.make(*folder, **given), config.learning.shift
    if not most:
        return task
    if task.shape is None:
        raise _no_map("learning.shift", task.name, most)
    return replace(task, train=Shifted(task.train, task.shape, most))


def build_network(config: Config, ends: Ends) -> Network:
    """The network without weights; its neurons are frozen unless `learn_neurons`."""
    try:
        network = _network(config.network, ends)
        return network if config.learning.learn_neurons else network.freeze("*.neuron.*")
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def build_rule(config: Config, given: Mapping[str, Any] = NOTHING) -> Rule:
    """The rule with its own signal or the one that is named, and `given` arguments of its maker."""
    learning = config.learning
    make: Any = RULES[learning.rule]
    if learning.signal is None:
        return make(**given)
    if "signal" not in signature(make).parameters:
        raise UsageError(
            f"learning.signal must be left out for {learning.rule}, which has its own, got "
            f"{learning.signal}. Or choose block_diagonal or eprop."
        )
    return make(signal=SIGNALS[learning.signal](), **given)


def build_loss(config: Config, task: Task) -> Loss:
    """The named loss, or the first that fits the task's targets; `UsageError` if it does not."""
    loss = loss_for(config, task.classifies)
    if task.stepwise and loss.over_time is not None:
        raise UsageError(
            f"learning.loss must be a loss of every step for {task.name}, whose steps have labels "
            f"of their own, got {config.learning.loss}. Leave it out."
        )
    return loss


def loss_for(config: Config, classes: bool) -> Loss:
    """The named loss, or the first for targets that are classes or values; `UsageError` if not."""
    learning = config.learning
    rate = RateRegulariser(learning.rate_strength, learning.rate_target)
    fit = CLASS_LOSSES if classes else VALUE_LOSSES
    name = learning.loss or next(iter(fit))
    if name not in fit:
        raise UsageError(
            f"learning.loss must be {' or '.join(fit)} for {config.task}, whose targets are "
            f"{'classes' if classes else 'values'}, got {name}. Or leave it out."
        )
    return fit[name](rate=rate)


def build_parts(config: Config, task: Task, given: Mapping[str, Any] = NOTHING) -> Parts:
    """What the learner is made of; the rule is made with `given`."""
    network = build_network(config, Ends(task.lines, task.outputs, task.dt, task.shape))
    return Parts(network, build_rule(config, given), build_loss(config, task))


def build_learner(
    config: Config,
    task: Task,
    given: Mapping[str, Any] = NOTHING,
    numbers: Mapping[str, float] = NOTHING,
) -> Learner:
    """The learner; `UsageError` where the rule, made with `given`, cannot serve the network.

    `numbers` are those of `adjustable_numbers` that shall be others than the settings say.
    """
    parts = adjusted(build_parts(config, task, given), numbers)
    rate, every = _learning_rate(config, task), config.learning.update_every
    try:
        learner = Learner(*parts, optax.adam(rate), every)
        if config.substrate is not None:
            learner = learner.on(substrate(config.substrate))
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    limit = config.learning.memory_limit
    return learner if limit is None else learner.within(bytes_of("learning.memory_limit", limit))


def learner_at(config: Config, task: Task, numbers: Mapping[str, float]) -> Learner:
    """The learner with other numbers; a learning rate is, of a schedule, where that begins."""
    rest = dict(numbers)
    rate = rest.pop(LEARNING_RATE, config.learning.learning_rate)
    learning = replace(config.learning, learning_rate=rate)
    return build_learner(replace(config, learning=learning), task, numbers=rest)


def _data_folder(config: Config, entry: Entry) -> Path:
    named = os.environ.get(DATA)
    if config.data is None and not named:
        raise DataError(
            f"{config.task} reads its data from a folder. Give it with --data DIR, or set {DATA} "
            f"to the folder that holds {entry.folder}."
        )
    folder = config.data or Path(str(named)) / entry.folder
    if not folder.exists():
        raise DataError(f"There is no data folder {folder}. Give the one with --data DIR.")
    return folder


def _learning_rate(config: Config, task: Task) -> optax.ScalarOrSchedule:
    """The learning rate, or its fall to zero over all updates of the run."""
    learning = config.learning
    if not learning.cosine:
        return learning.learning_rate
    batches = -(-task.train.size // learning.batch)
    updates = -(-task.steps // (learning.update_every or task.steps))
    return optax.cosine_decay_schedule(learning.learning_rate, learning.epochs * batches * updates)


def _network(settings: NetworkConfig, ends: Ends) -> Network:
    neuron = _neuron(settings)
    layers = [Layer(connection, neuron) for connection in _on_map(settings, ends)]
    for size in settings.hidden:
        lines = layers[-1].input.outputs if layers else ends.lines
        layers.append(_layer(settings, neuron, lines, size))
    sizes = [layer.input.outputs for layer in layers]
    read = sum(sizes) if settings.read_all else sizes[-1]
    units = _readout(settings)
    readout = Readout.of(units, read, ends.outputs, all_layers=settings.read_all)
    return Network(*layers, readout=readout, dt=ends.dt)


def _on_map(settings: NetworkConfig, ends: Ends) -> list[Conv | Pool]:
    if settings.conv is None:
        return []
    if ends.shape is None:
        raise _no_map("network.conv", f"{ends.lines} lines", settings.conv)
    return connections(
        "network.conv", settings.conv, ends.shape, settings.input_gain, settings.bias
    )


def _no_map(key: str, owner: str, value: object) -> UsageError:
    return UsageError(
        f"{key} needs lines that are a map of rows and columns, and those of {owner} are none, got "
        f"{value}. Leave it out, or choose nmnist, nmnist_small, dvs_gesture or digits."
    )


def _readout(settings: NetworkConfig) -> AbstractLinear:
    """The readout's units; a time constant that they do not have is refused."""
    tau = settings.tau_readout
    name = settings.readout or ("memoryless" if tau is None else "leaky")
    if tau is None:
        return READOUTS[name]()
    if name not in READOUT_TAUS:
        raise _no_such("tau_readout", f"the {name} readout", tau)
    return READOUTS[name](**{READOUT_TAUS[name]: tau})


def _layer(settings: NetworkConfig, neuron: AbstractNeuron, inputs: int, size: int) -> Layer:
    recurrent = Dense(size, size, settings.recurrent_gain) if settings.recurrent else None
    feedforward = Dense(inputs, size, settings.input_gain, settings.bias)
    return Layer(feedforward, neuron, recurrent, autapses=settings.autapses)


def _neuron(settings: NetworkConfig) -> AbstractNeuron:
    """The neuron, with what is given; what it does not have is refused."""
    plain = load_neuron(settings.neuron)
    kind: Any = type(plain)
    usual = {field.name: getattr(plain, field.name) for field in fields(kind)}
    names = ("tau_mem", "tau_syn", "tau_adapt", "surrogate", "surrogate_slope")
    given = {n: getattr(settings, n) for n in names if getattr(settings, n) is not None}
    for name, value in given.items():
        if name.removesuffix("_slope") not in usual:
            raise _no_such(name, kind.__name__, value)
    slope = given.pop("surrogate_slope", None)
    if slope is not None or "surrogate" in given:
        named: Any = SURROGATES.get(given.get("surrogate", ""), type(usual["surrogate"]))
        given["surrogate"] = _surrogate(named, slope)
    return kind(**given)


def _surrogate(kind: Any, slope: float | None) -> AbstractSurrogate:
    if slope is None:
        return kind()
    if "slope" not in signature(kind).parameters:
        raise _no_such("surrogate_slope", kind.__name__, slope)
    return kind(slope=slope)


def _no_such(name: str, owner: str, value: object) -> UsageError:
    return UsageError(
        f"network.{name} must be left out for {owner}, which has none, got {value}. Or choose "
        "another."
    )
