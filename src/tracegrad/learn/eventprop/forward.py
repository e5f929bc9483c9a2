"""Forward: follow a network from event to event, and keep what the adjoint needs of each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.learn.eventprop.flow import Cell, crossing, move


class Given(NamedTuple):
    """Events known beforehand, in order of time: input spikes, and looks at the potentials.

    `sources`: the input line, or -1 for a look; `looks`: which look it is, or the number of looks.
    The last event is at infinity and does nothing.
    """

    times: Float[Array, " g"]
    sources: Int[Array, " g"]
    looks: Int[Array, " g"]


class Log(NamedTuple):
    r"""All events in order: `time`, the row of the weights that acts, and the number of the event.

    `row`: input lines, then neurons, then one that does nothing; `number`: which given event or
    which spike it is. `slope` is $\tau_m\dot V^-=I^--\vartheta$ of a neuron that spikes, else 1.
    """

    time: Float[Array, " e"]
    row: Int[Array, " e"]
    number: Int[Array, " e"]
    slope: Float[Array, " e"]


class State(NamedTuple):
    """What is carried from event to event."""

    time: Float[Array, ""]
    v: Float[Array, " n"]
    i: Float[Array, " n"]
    integral: Float[Array, " n"]  # of v, so far
    wait: Float[Array, " n"]  # until each neuron spikes, if nothing comes in
    given: Int[Array, ""]  # how many of the given events have been
    spikes: Int[Array, ""]  # how many spikes have been
    log: Log
    seen: Float[Array, "q n"]  # potentials at the looks; the last row is for whatever is no look
    rate: Float[Array, "q n"]  # their time derivatives there


def forward(
    cell: Cell,
    rows: Float[Array, "r n"],
    given: Given,
    duration: float,
    sizes: tuple[int, int],
) -> tuple[State, Float[Array, ""]]:
    """State at `duration`, and the time of the first event that found no room in the log.

    `sizes`: how many spikes the log has room for, and how many looks there are. `rows` ends with a
    row of zeros. Each event costs O(n).
    """
    room, _ = sizes
    count = given.times.shape[0]
    begin = _rest(cell, rows, count, sizes)

    def upcoming(state: State) -> tuple[Array, Array, Array]:
        spike = state.time + jnp.min(state.wait)
        outer = given.times[state.given]
        return jnp.minimum(spike, outer), spike, outer

    def open_(state: State) -> Array:
        event, spike, outer = upcoming(state)
        return (event <= duration) & ((state.spikes < room) | (outer <= spike))

    def happen(state: State) -> State:
        event, spike, outer = upcoming(state)
        state = _advance(cell, state, event)
        return _jump(cell, rows, given, state, spike < outer)

    state = jax.lax.while_loop(open_, happen, begin)
    missed, _, _ = upcoming(state)
    return _advance(cell, state, jnp.asarray(duration, rows.dtype)), missed


def _rest(cell: Cell, rows: Float[Array, "r n"], count: int, sizes: tuple[int, int]) -> State:
    room, looks = sizes
    zero = jnp.zeros_like(cell.tau_mem)
    events, none = count + room, jnp.zeros((), jnp.int32)
    return State(
        time=jnp.zeros((), rows.dtype),
        v=zero,
        i=zero,
        integral=zero,
        wait=jnp.full_like(zero, jnp.inf),
        given=none,
        spikes=none,
        log=Log(
            time=jnp.full(events, jnp.inf, rows.dtype),
            row=jnp.full(events, rows.shape[0] - 1, jnp.int32),
            number=jnp.full(events, count - 1, jnp.int32),
            slope=jnp.ones(events, rows.dtype),
        ),
        seen=jnp.zeros((looks + 1, zero.size), rows.dtype),
        rate=jnp.zeros((looks + 1, zero.size), rows.dtype),
    )


def _advance(cell: Cell, state: State, time: Float[Array, ""]) -> State:
    r"""Move on without events; $\int V=\tau_s(I_0-I)-\tau_m(V-V_0)$."""
    v, i = move(cell, state.v, state.i, time - state.time)
    area = cell.tau_syn * (state.i - i) - cell.tau_mem * (v - state.v)
    return state._replace(time=time, v=v, i=i, integral=state.integral + area)


def _jump(
    cell: Cell, rows: Float[Array, "r n"], given: Given, state: State, spikes: Array
) -> State:
    """What happens at an event: a spike of the neuron that waited least, or the next given one."""
    neuron = jnp.argmin(state.wait).astype(jnp.int32)
    nothing = rows.shape[0] - 1
    lines = nothing - state.v.size
    source = given.sources[state.given]
    outer = jnp.where(source < 0, nothing, source)
    row = jnp.where(spikes, lines + neuron, outer)
    number = jnp.where(spikes, state.spikes, state.given)
    slope = jnp.where(spikes, state.i[neuron] - cell.v_threshold[neuron], 1.0)
    look = jnp.where(spikes, state.seen.shape[0] - 1, given.looks[state.given])
    event = state.given + state.spikes
    v = state.v.at[neuron].set(jnp.where(spikes, 0.0, state.v[neuron]))
    i = state.i + rows[row]
    return state._replace(
        v=v,
        i=i,
        wait=crossing(cell, v, i),
        given=state.given + jnp.where(spikes, 0, 1),
        spikes=state.spikes + jnp.where(spikes, 1, 0),
        log=Log(
            state.log.time.at[event].set(state.time),
            state.log.row.at[event].set(row),
            state.log.number.at[event].set(number),
            state.log.slope.at[event].set(slope),
        ),
        seen=state.seen.at[look].set(state.v),
        rate=state.rate.at[look].set((state.i - state.v) / cell.tau_mem),
    )
