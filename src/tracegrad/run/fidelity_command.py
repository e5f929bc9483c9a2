"""`tracegrad fidelity`: how close rules come to the exact gradient, for one neuron."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from rich.console import Console

from tracegrad import inspect
from tracegrad.errors import UsageError
from tracegrad.inspect import Fidelity, Trial
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules import RULES
from tracegrad.model import AbstractNeuron, Dense, Layer, Network, Readout
from tracegrad.run.options import parse
from tracegrad.run.user_neuron import broken, load_neuron

INPUTS, OUTPUTS, BATCH, INPUT_RATE = 16, 2, 4, 0.1
ACTIVE = 0.15  # mean spikes per step of a hidden neuron that the input gain is chosen for
GAINS = tuple(2.0 ** (half / 2) for half in range(-24, 25))
ALL = "all"


@dataclass(frozen=True)
class FidelityOptions:
    """How close rules come to the exact gradient, for the neuron FILE.py:Class or a library one.

    One layer of it receives random spikes; the targets are random too. Everything learns.
    """

    rule: tuple[str, ...] = (ALL,)
    """One or several rules, or all online ones: see `tracegrad rules`."""
    hidden: int = 16
    """Neurons of the layer."""
    steps: int = 40
    """Time steps of the sequence."""
    recurrent: bool = True
    """Connect the layer to itself, one step later."""
    dt: float = 1e-3
    """Time step (s)."""
    gain: float | None = None
    """Scale of the input weights; None: such that the neurons are moderately active."""
    draws: int = 1
    """Draws of what a rule draws at random."""
    seed: int = 0
    """Seed of weights, input and targets."""
    out: Path | None = None
    """Write the numbers to this JSON file, and a picture beside it as PNG."""


class Case(NamedTuple):
    """A network and data to judge rules on."""

    network: Network
    xs: Array
    ys: Array


def fidelity(arguments: list[str]) -> None:
    """Judge the rules on a neuron; print a table for each, and write numbers and a picture."""
    named = bool(arguments) and not arguments[0].startswith("-")
    options = parse(FidelityOptions(), "fidelity NEURON", arguments[named:])
    if not named:
        raise UsageError("fidelity needs a neuron: tracegrad fidelity FILE.py:Class [options].")
    rules = _rules(options.rule)
    _check(options)
    console, found = Console(), []
    with jax.enable_x64(True):  # small parts of a gradient need it
        neuron = load_neuron(arguments[0])
        case, gain = _case(neuron, options)
        for rule in rules:
            result = _judge(case, rule, options, skip=ALL in options.rule)
            if result is not None:
                console.print(result.table())
                found.append(result)
    if not found:
        raise UsageError("No rule could be judged: give the network stronger input with --gain.")
    print(f"Input gain {gain:g}, mean output {found[0].rates[0]:.2g}.")
    if options.out is not None:
        _write(arguments[0], options, found)


def _rules(names: tuple[str, ...]) -> list[Rule]:
    made = {make.__name__: make for make in RULES}
    unknown = [name for name in names if name not in made and name != ALL]
    if unknown or not names:
        raise UsageError(
            f"--rule must be {ALL} or some of {', '.join(made)}, got {', '.join(names) or 'none'}."
        )
    rules = {name: make() for name, make in made.items()}
    return [r for name, r in rules.items() if name in names or (ALL in names and r.online)]


def _check(options: FidelityOptions) -> None:
    for name in ("hidden", "steps", "draws"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1, got {getattr(options, name)}.")
    for name in ("dt", "gain"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name} must be a positive number, got {value}.")
    if options.out is not None and options.out.suffix != ".json":
        raise UsageError(f"--out must end in .json, got {options.out}.")


def _case(neuron: AbstractNeuron, options: FidelityOptions) -> tuple[Case, float]:
    """The network, with an input gain at which it is active, and data; and that gain."""
    weights, inputs, targets = jax.random.split(jax.random.key(options.seed), 3)
    shape = (options.steps, BATCH)
    xs = jax.random.bernoulli(inputs, INPUT_RATE, (*shape, INPUTS)).astype(float)
    ys = jax.random.normal(targets, (*shape, OUTPUTS), dtype=float)
    try:
        scale = options.gain or _gain(_network(neuron, 1.0, options).init(weights), xs)
        return Case(_network(neuron, scale, options).init(weights), xs, ys), scale
    except Exception as error:  # the user's neuron runs here, and may raise anything
        raise broken(neuron, error) from error


def _network(neuron: AbstractNeuron, gain: float, options: FidelityOptions) -> Network:
    """One layer and a leaky readout; recurrent weights half as large as the input's."""
    size = options.hidden
    recurrent = Dense(size, size, 0.5 * gain) if options.recurrent else None
    layer = Layer(Dense(INPUTS, size, gain), neuron, recurrent)
    return Network(layer, readout=Readout(size, OUTPUTS), dt=options.dt)


def _gain(network: Network, xs: Array) -> float:
    """The gain at which mean outputs come closest to `ACTIVE`; 1 for a neuron without spikes."""

    def outputs(gain: Array) -> Array:
        scaled = jax.tree.map(
            lambda node: Dense.from_arrays(gain * node.weight) if _is_dense(node) else node,
            network.layers,
            is_leaf=_is_dense,
        )
        return Network(*scaled, readout=network.readout, dt=network.dt)(xs)[0][0]

    z = jax.lax.map(outputs, jnp.array(GAINS))
    if not bool(jnp.all((z == 0) | (z == 1))):
        return 1.0
    rates = jnp.mean(z, axis=(1, 2, 3))
    return GAINS[int(jnp.argmin(jnp.abs(jnp.log(rates + 1e-6) - jnp.log(ACTIVE))))]


def _is_dense(node: object) -> bool:
    return isinstance(node, Dense)


def _judge(case: Case, rule: Rule, options: FidelityOptions, skip: bool) -> Fidelity | None:
    """Fidelity of one rule; a rule that cannot serve is passed over in words if `skip`."""
    trial = Trial(draws=options.draws, key=jax.random.key(options.seed))
    try:
        return inspect.fidelity(case.network, rule, case.xs, case.ys, trial=trial)
    except ValueError as error:
        if not skip:
            raise UsageError(str(error)) from error
        print(f"{rule.name} is left out. {error}")
        return None
    except Exception as error:  # the user's neuron runs here, and may raise anything
        raise broken(case.network.layers[0].neuron, error) from error


def _write(neuron: str, options: FidelityOptions, found: list[Fidelity]) -> None:
    from tracegrad.inspect.fidelity_picture import draw_fidelity  # slow to load

    assert options.out is not None
    settings = {
        "neuron": neuron,
        "hidden": options.hidden,
        "steps": options.steps,
        "recurrent": options.recurrent,
        "dt": options.dt,
        "seed": options.seed,
    }
    report = {"settings": settings, "rules": [result.to_json() for result in found]}
    options.out.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    picture = draw_fidelity(
        {result.rule: result.parameters for result in found}, options.out.with_suffix(".png")
    )
    print(f"Numbers: {options.out}\nPicture: {picture}")
