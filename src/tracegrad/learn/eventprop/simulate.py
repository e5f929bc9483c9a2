"""Simulate: a differentiable run of an event network, with EventProp as its reverse mode."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.learn.eventprop.adjoint import Past, Pull, adjoint
from tracegrad.learn.eventprop.event_network import EventNetwork
from tracegrad.learn.eventprop.flow import Cell
from tracegrad.learn.eventprop.forward import Given, forward


class Spikes(NamedTuple):
    """Spikes: when, in seconds, and from which input line or neuron; infinity is no spike."""

    times: Float[Array, " k"]
    sources: Int[Array, " k"]


class Record(NamedTuple):
    """What a run yields.

    `spikes` of all neurons in order of time, unused places at infinity with source `size`;
    `total` of them; `v` at the times asked for; `integral` of every potential, in seconds.
    """

    spikes: Spikes
    total: Int[Array, ""]
    v: Float[Array, "q n"]
    integral: Float[Array, " n"]


def simulate(
    network: EventNetwork,
    spikes: Spikes,
    duration: float,
    max_spikes: int,
    at: Float[Array, " q"] | None = None,
) -> Record:
    r"""Run a network of current-based LIF neurons from rest for `duration` seconds.

    Spike times are exact to rounding, found on the closed form of the potential. Reverse mode
    through this function is EventProp: the exact gradient of any function of the record by the
    weights, the times of the input spikes and the times `at` of the looks, the paths through every
    reset and every spike time included. No surrogate is involved.

    It is the derivative at a fixed sequence of events: blind to spikes that a larger change of the
    weights would create or delete, and without bound where a potential barely reaches threshold.
    A silent neuron gets no gradient from spike times. Time constants and thresholds are fixed.

    Input spikes come in any order; those later than `duration` are not delivered. More than
    `max_spikes` spikes of the network are refused. Time O(events n), memory O(events + weights).
    Batches: `jax.vmap`. Offline: it needs the whole run. Exact in float64; in float32 to its
    rounding. Source: Wunderlich & Pehle 2021.

    ```python
    def loss(net):
        record = tg.eventprop.simulate(net, spikes, duration=30e-3, max_spikes=100)
        first = tg.eventprop.first_spikes(record, net, silent=30e-3)[net.span(-1)]
        return tg.eventprop.latency_cross_entropy(first, label, tau=1e-3)

    gradient = jax.grad(loss)(net)
    ```
    """
    if not duration > 0 or max_spikes < 1:
        raise ValueError(
            f"A run needs a positive duration and room for a spike, got duration={duration} s and "
            f"max_spikes={max_spikes}."
        )
    columns = network.columns()
    rows = jnp.concatenate([columns, jnp.zeros((1, network.size), columns.dtype)])
    at = jnp.zeros(0, rows.dtype) if at is None else at
    times = _checked(spikes, at, network.inputs)
    number, none = jnp.arange(times.size, dtype=jnp.int32), jnp.full(at.size + 1, -1, jnp.int32)
    sources = jnp.concatenate([spikes.sources.astype(jnp.int32), none])
    looks = jnp.where(number < spikes.times.size, at.size, number - spikes.times.size)
    order = jnp.argsort(times)
    given = Given(times[order], sources[order], looks[order])
    return _compiled(duration, (max_spikes, at.size), network.cell(), rows, given)


def _checked(spikes: Spikes, at: Float[Array, " q"], lines: int) -> Float[Array, " g"]:
    """All given times, and infinity; refuses times before the run and lines that do not exist."""
    known = jnp.isinf(spikes.times) | ((spikes.sources >= 0) & (spikes.sources < lines))
    times = jnp.concatenate([spikes.times, at, jnp.full(1, jnp.inf, at.dtype)])
    return eqx.error_if(
        times,
        ~(jnp.all(known) & jnp.all(times >= 0)),
        f"Input spikes need times >= 0 and sources from 0 to {lines - 1}, and looks times >= 0. "
        "Mark unused places by a time of infinity.",
    )


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _run(
    duration: float, sizes: tuple[int, int], cell: Cell, rows: Float[Array, "r n"], given: Given
) -> Record:
    return _forward(duration, sizes, cell, rows, given)[0]


def _forward(
    duration: float, sizes: tuple[int, int], cell: Cell, rows: Float[Array, "r n"], given: Given
) -> tuple[Record, Past]:
    state, missed = forward(cell, rows, given, duration, sizes)
    room, size = sizes[0], rows.shape[1]
    log = state.log
    neuron = log.row - (rows.shape[0] - 1 - size)
    place = jnp.where((neuron >= 0) & (neuron < size), log.number, room)
    empty = Spikes(jnp.full(room, jnp.inf, rows.dtype), jnp.full(room, size, jnp.int32))
    times = empty.times.at[place].set(log.time, mode="drop")
    times = eqx.error_if(
        times,
        missed <= duration,
        f"The network spikes more than max_spikes={room} times. Give max_spikes more room, or "
        "scale the weights down.",
    )
    sources = empty.sources.at[place].set(neuron, mode="drop")
    record = Record(Spikes(times, sources), state.spikes, state.seen[:-1], state.integral)
    return record, Past(cell, rows, given, log, state.rate)


def _backward(
    duration: float, sizes: tuple[int, int], past: Past, pull: Record
) -> tuple[None, Array, Given]:
    seen = jnp.concatenate([pull.v, jnp.zeros_like(past.rows[-1:])])
    wanted = Pull(pull.spikes.times, seen, pull.integral)
    rows, times = adjoint(past, wanted, duration)
    # Integers have no derivative: None stands for it.
    return None, rows, Given(times, None, None)  # type: ignore[arg-type]


_run.defvjp(_forward, _backward)
_compiled = jax.jit(_run, static_argnums=(0, 1))
