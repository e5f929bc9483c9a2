r"""Lag: a gradient split by how many steps lie between the use of a weight and the loss.

With $w^s$ the weight as step $s$ uses it, the part of lag $\ell$ is
$g(\ell)=\sum_t\partial L^t/\partial w^{t-\ell}$, and $\sum_\ell g(\ell)=dL/dw$. A loss at step $t$
sees a weight through the neuron's memory, recurrence and readout alike.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.learn.loss import Loss, loss_and_error
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data, Stream
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.regulariser import RateRegulariser
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Network, State

T = TypeVar("T")


def exact_by_lag(network: Network, loss: Loss, data: Data, lags: int) -> Network:
    r"""The exact gradient by lag, every leaf (lags + 1, ...); the last entry holds what is older.

    $g(\ell)=\sum_s\lambda^{s+\ell}_sF^s$, with $\lambda^t_s=\partial L^t/\partial h^s$ carried
    backwards for `lags` losses at a time: `lags` times the cost of BPTT, in reverse mode through
    the network itself. A rate regulariser is left out: it belongs to no step.
    """
    circuit = network.discretise()

    def one(circuit: Circuit, state: State, now: tuple) -> tuple[State, Float[Array, ""]]:
        x, target, weight = now
        state = circuit.step(state, x, circuit.stages[0].feedforward(x)).after
        return state, loss_and_error(loss, state[-1].z, target, weight)[0]

    def forward(state: State, now: tuple) -> tuple[State, State]:
        return one(circuit, state, now)[0], state

    def backward(carry: tuple, now: tuple) -> tuple[tuple, None]:
        cotangents, total = carry
        s, before, seen = now
        slot = s % lags
        # The loss that has held this slot is `lags` steps ahead: it joins what is older.
        cotangents = jax.tree.map(lambda c: c.at[-1].add(c[slot]).at[slot].set(0.0), cotangents)
        asked = jnp.zeros(lags + 1, data.xs.dtype).at[slot].set(1.0)
        _, back = jax.vjp(lambda circuit, state: one(circuit, state, seen), circuit, before)
        gradient, cotangents = jax.vmap(lambda c, a: back((c, a)))(cotangents, asked)
        lag = jnp.append((jnp.arange(lags) - s) % lags, lags)
        return (cotangents, _add(total, lag, gradient)), None

    steps = (data.xs, data.ys, data.weight)
    end, before = jax.lax.scan(forward, circuit.rest(data.xs.shape[1]), steps)
    start = jax.tree.map(jnp.zeros_like, _slots((end, circuit), lags + 1))
    times = jnp.arange(data.xs.shape[0])
    total = jax.lax.scan(backward, start, (times, before, steps), reverse=True)[0][1]
    return jax.vmap(lambda gradient: pull_back(network, gradient))(total)


def rule_by_lag(
    network: Network, rule: Rule, loss: Loss, run: tuple[Data, Feedback], lags: int
) -> Network:
    r"""The gradient of an online rule by lag, every leaf (lags + 1, ...), the last what is older.

    $g(\ell)=C(\ell)-C(\ell-1)$, where $C(\ell)$ is the rule's gradient with an influence that was
    zero $\ell+1$ steps ago: what it holds since then is all it can use. One run along the exact
    trajectory carries `lags + 1` influences, each of which is emptied every `lags` steps; so
    `lags + 1` times the cost of the rule. Differences of sums: resolved to the rounding of the
    whole. An offline rule carries no influence and has the parts of reverse mode.
    """
    data, feedback = run
    if not rule.online:
        return exact_by_lag(network, loss, data, lags)
    plan = choose(rule, loss._replace(rate=RateRegulariser()), Work(1, carry=True)).plan
    circuit, batch = network.discretise(), data.xs.shape[1]
    one: Any = None  # state and signal do not depend on the influence: one, beside many memories
    rest = plan.rest(circuit, batch, jax.random.key(0))

    def forward(carry: tuple, now: tuple) -> tuple[tuple, None]:
        before, total = carry
        t, seen = now
        memory = jax.tree.map(lambda m, e: m.at[t % lags].set(e), before.memory, rest.memory)

        def block(memory: Any) -> tuple[Circuit, Stream]:
            outcome = plan.block(circuit, feedback, before._replace(memory=memory), seen)
            # A rule may have detached resets, which is part of the structure and no array.
            leaves = jax.tree.leaves(outcome.gradient)
            return jax.tree.unflatten(jax.tree.structure(circuit), leaves), outcome.stream

        gradient, stream = jax.vmap(block, out_axes=(0, Stream(one, 0, one, one)))(memory)
        window = jnp.append((t - jnp.arange(lags)) % lags, lags)
        return (stream, _add(total, window, gradient)), None

    nothing = jax.tree.map(jnp.zeros_like, _slots(circuit, lags + 1))
    start = (rest._replace(memory=_slots(rest.memory, lags + 1)), nothing)
    blocks = jax.tree.map(lambda a: a[:, None], data)  # of one step
    windows = jax.lax.scan(forward, start, (jnp.arange(data.xs.shape[0]), blocks))[0][1]
    parts = jax.tree.map(lambda c: jnp.concatenate([c[:1], c[1:] - c[:-1]]), windows)
    return jax.vmap(lambda gradient: pull_back(network, gradient))(parts)


def _slots(tree: T, count: int) -> T:
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *a.shape)), tree)


def _add(total: T, index: Array, parts: T) -> T:
    return jax.tree.map(lambda a, b: a.at[index].add(b), total, parts)
