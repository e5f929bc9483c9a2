"""Alike: states that every neuron of a layer remembers in the same way, whatever it does."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import AbstractInfluence, Block
from tracegrad.learn.local import Rows
from tracegrad.model.connection import Dense
from tracegrad.model.network import Circuit, Network
from tracegrad.model.neuron import CURRENT, AbstractNeuron, ports, seen_current
from tracegrad.model.stage import Stage
from tracegrad.native.scalar import ZERO, Code, NoCodeError, translate


class _Slopes(NamedTuple):
    """Of one state: what it needs to be known, and what of the step before reaches it."""

    needs: frozenset[int]
    own: frozenset[str]
    echo: bool
    drive: bool


def alike(
    network: Network, influence: AbstractInfluence | Graph | Horizon
) -> tuple[frozenset[str], ...]:
    r"""Of each stage, the states whose traces all neurons have in common.

    A state is one of them if its `own` and `drive` are the same for all neurons at all times (they
    depend on nothing but coefficients that one parameter sets for the layer), it hears no output of
    its neuron, and it remembers only such states. Its trace is then
    $\epsilon_{ji}=\hat x_i$, one vector for the layer: a filter of the presynaptic line. Read off
    the neuron's derivatives themselves, so it holds for every input. Of an influence that is not
    one block per neuron, of neurons that need arrays, and of neurons that see different lines,
    none.
    """
    if not isinstance(influence, Block):
        return ()
    neurons = [*(layer.neuron for layer in network.layers), network.readout.neuron]
    coefficients = [neuron.coefficients(network.dt) for neuron in neurons]
    one_each = Circuit(tuple(map(_one_neuron, neurons, coefficients)))
    recurrent = [*(layer.recurrent is not None for layer in network.layers), False]
    same = [*(isinstance(layer.input, Dense) for layer in network.layers), True]
    return tuple(
        _alike(
            stage,
            {name for name, value in c.items() if value.shape == ()},
            influence.self_weight and again,
        )
        if all_to_all
        else frozenset()
        for stage, c, again, all_to_all in zip(
            influence.prepare(one_each).stages, coefficients, recurrent, same, strict=True
        )
    )


def _one_neuron(neuron: AbstractNeuron, coefficients: Rows) -> Stage:
    """A stage of one such neuron: its equations and names, whatever its numbers."""
    first = {name: jnp.ravel(value)[:1] for name, value in coefficients.items()}
    bare = eqx.filter(neuron, eqx.is_array, inverse=True)
    return Stage({CURRENT: jnp.zeros((1, 1))}, None, None, first, bare)


def _alike(stage: Stage, one: set[str], keeps: bool) -> frozenset[str]:
    """The largest set of such states that is closed; `one` are coefficients with a single value,
    `keeps` says that the self-weight counts."""
    rows = tuple(stage.rest(1).s)
    shared = {index for index, name in enumerate(stage.coefficients) if name in one}
    try:
        slopes = {row: _slopes(stage, rows, row) for row in rows}
    except NoCodeError:
        return frozenset()
    left = {
        row
        for row, slope in slopes.items()
        if slope.needs <= shared and not slope.echo and not (keeps and slope.drive)
    }
    while wrong := {row for row in left if not slopes[row].own <= left}:
        left -= wrong
    return frozenset(left)


def _slopes(stage: Stage, rows: tuple[str, ...], row: str) -> _Slopes:
    code = _derivatives(stage, rows, row)
    known = sorted(rows)
    own, (echo, *drive) = code.outputs[: len(known)], code.outputs[len(known) :]
    return _Slopes(
        code.needs,
        frozenset(col for col, text in zip(known, own, strict=True) if text != ZERO),
        echo != ZERO,
        any(text != ZERO for text in drive),
    )


def _derivatives(stage: Stage, rows: tuple[str, ...], row: str) -> Code:
    """The derivatives of one state by states, output and currents, as code; coefficients first."""
    names, currents = tuple(stage.coefficients), ports(stage.neuron)

    def slopes(*flat: jax.Array) -> tuple:
        values = iter(flat)
        c, s = ({name: next(values) for name in group} for group in (names, rows))
        z = next(values)
        current = {port: next(values) for port in currents}

        def after(s: Rows, z: jax.Array, current: Rows) -> jax.Array:
            return stage.neuron.step(c, s, z, seen_current(stage.neuron, current))[row]

        return jax.grad(after, argnums=(0, 1, 2))(s, z, current)

    number = jax.ShapeDtypeStruct((), stage.dtype)
    labels = (*names, *rows, "z", *currents)
    return translate(slopes, [(f"in{k}", number) for k, _ in enumerate(labels)])
