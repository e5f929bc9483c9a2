r"""Adjoint: the backward pass of EventProp, from the last event to the first.

Between events, in reversed time and with $a=\partial L/\partial\int V$,

$\tau_m\lambda_V'=-\lambda_V-a,\qquad \tau_s\lambda_I'=-\lambda_I+\lambda_V$   (1)

A spike of neuron $n$ at $t_k$, $w$ its column of weights, changes

$\lambda_{V,n}^-=\lambda_{V,n}^++\frac{1}{\tau_m\dot V_n^-}\Big[\vartheta\lambda_{V,n}^+
+w^\top(\lambda_V^+-\lambda_I)+\frac{\partial L}{\partial t_k}+a_n\vartheta\Big]$   (2)

(the last term is $l_V^--l_V^+$ of the source), a look at $V$ changes
$\lambda_V^-=\lambda_V^+-\frac{1}{\tau_m}\partial L/\partial V$, and the gradients are

$\frac{dL}{dw_{ji}}=-\sum_{t\in\mathrm{spikes}(i)}\tau_s\lambda_{I,j}(t),\qquad
\frac{dL}{dt_i}=w^\top(\lambda_V-\lambda_I)$   (3)

for weights and for times of input spikes. Source: Wunderlich & Pehle 2021; (3, right) follows
from the jump of the same flow. Finite differences confirm all of it in the tests.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.learn.eventprop.flow import Cell, response
from tracegrad.learn.eventprop.forward import Given, Log


class Pull(NamedTuple):
    r"""What the loss wants of the record: $\partial L$ by spike times, looks and integrals.

    The last row of `seen` is zero: it stands for events that are no look.
    """

    times: Float[Array, " s"]
    seen: Float[Array, "q n"]
    integral: Float[Array, " n"]


class Past(NamedTuple):
    """What the forward pass leaves behind: O(r n) for the weights, O(1) for each event."""

    cell: Cell
    rows: Float[Array, "r n"]
    given: Given
    log: Log
    rate: Float[Array, "q n"]


def adjoint(
    past: Past, pull: Pull, duration: float
) -> tuple[Float[Array, "r n"], Float[Array, " g"]]:
    """Gradients of the rows of weights and of the given times; O(n) for each event."""
    cell, rows, log = past.cell, past.rows, past.log
    end = jnp.asarray(duration, rows.dtype)
    zero = jnp.zeros_like(cell.tau_mem)

    def event(carry: tuple[Array, ...], here: Log) -> tuple[tuple[Array, ...], Array]:
        later, lambda_v, lambda_i, gradient = carry
        time = jnp.minimum(here.time, end)  # a place of the log that was not used is at infinity
        lambda_v, lambda_i = _back(cell, lambda_v, lambda_i, pull.integral, later - time)
        gradient = gradient.at[here.row].add(-cell.tau_syn * lambda_i)
        jumped, slope = _jump(past, pull, here, lambda_v, lambda_i)
        return (time, jumped, lambda_i, gradient), slope

    begin = (end, zero, zero, jnp.zeros_like(rows))
    (_, _, _, gradient), slopes = jax.lax.scan(event, begin, log, reverse=True)
    count = past.given.times.shape[0]
    place = jnp.where(_spikes(past, log.row), count, log.number)
    return gradient, jnp.zeros(count, rows.dtype).at[place].add(slopes, mode="drop")


def _spikes(past: Past, row: Array) -> Array:
    """Whether the event is a spike of a neuron of the network."""
    nothing = past.rows.shape[0] - 1
    return (row >= nothing - past.rows.shape[1]) & (row < nothing)


def _back(
    cell: Cell,
    lambda_v: Float[Array, " n"],
    lambda_i: Float[Array, " n"],
    source: Float[Array, " n"],
    h: Float[Array, ""],
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Equation (1), `h` seconds back: the forward flow with the two time constants exchanged."""
    left = jnp.exp(-h / cell.tau_syn)
    fed = response(Cell(cell.tau_syn, cell.tau_mem, cell.v_threshold), h)
    v = (lambda_v + source) * jnp.exp(-h / cell.tau_mem) - source
    return v, lambda_i * left + (lambda_v + source) * fed - source * (1.0 - left)


def _jump(
    past: Past, pull: Pull, here: Log, lambda_v: Float[Array, " n"], lambda_i: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    r"""$\lambda_V$ before the event, and the derivative of the loss by the event's own time."""
    cell, nowhere = past.cell, pull.seen.shape[0] - 1
    spikes = _spikes(past, here.row)
    reached = jnp.dot(past.rows[here.row], lambda_v - lambda_i)
    neuron = jnp.clip(here.row - (past.rows.shape[0] - 1 - lambda_v.size), 0, lambda_v.size - 1)
    wanted = pull.times[jnp.where(spikes, here.number, 0)]
    bracket = cell.v_threshold[neuron] * (lambda_v[neuron] + pull.integral[neuron])
    bracket = (bracket + reached + wanted) / here.slope
    jumped = lambda_v.at[neuron].add(jnp.where(spikes, bracket, 0.0))
    look = jnp.where(spikes, nowhere, past.given.looks[here.number])
    seen = pull.seen[look]
    return jumped - seen / cell.tau_mem, reached + jnp.dot(seen, past.rate[look])
