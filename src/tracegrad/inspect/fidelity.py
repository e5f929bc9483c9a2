"""Fidelity: how close a rule's gradient is to the exact one, per parameter and over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PRNGKeyArray, Shaped
from rich.table import Table

from tracegrad.inspect.agreement import Agreement, ByLag, agree, agree_by_lag
from tracegrad.inspect.fidelity_table import as_text, make_table
from tracegrad.inspect.given import Given, learning_leaves, read_gradient
from tracegrad.inspect.lag import exact_by_lag, rule_by_lag
from tracegrad.learn.loss import Loss, cross_entropy, mean_squared_error
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data, Outcome
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules.bptt import bptt
from tracegrad.model.network import Network, real_type


class Trial(NamedTuple):
    """How a rule is judged besides on what data.

    `weight` (time, batch) of the loss at each step (None: 1). `draws` of what the rule draws at
    random, with keys split from `key` (None: `jax.random.key(0)`). Lags below `lags` are resolved
    one by one, older ones together.
    """

    weight: Float[Array, "time batch"] | None = None
    draws: int = 1
    key: PRNGKeyArray | None = None
    lags: int = 24


@dataclass(frozen=True)
class Fidelity:
    """Agreement with the exact gradient of every parameter that learns; `print` shows the table."""

    rule: str
    parameters: tuple[Agreement, ...]
    draws: int
    rates: tuple[float, ...]  # mean output of every hidden layer

    def __str__(self) -> str:
        return as_text(self.table())

    def __getitem__(self, name: str) -> Agreement:
        """The agreement of one parameter."""
        return {entry.name: entry for entry in self.parameters}[name]

    def table(self) -> Table:
        """The table, for a rich console."""
        return make_table(f"{self.rule} beside the exact gradient", self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, for `json.dump`; null where there is nothing."""
        return {
            "rule": self.rule,
            "draws": self.draws,
            "rates": list(self.rates),
            "parameters": [_plain(entry) for entry in self.parameters],
        }

    def draw(self, path: Path | str) -> Path:
        """Draw parameters by lag to a PNG file; only for what was resolved by lag."""
        # matplotlib takes a second to load, which `import tracegrad` should not.
        from tracegrad.inspect.fidelity_picture import draw_fidelity

        return draw_fidelity({self.rule: self.parameters}, Path(path))

    def require(self, cosine: float = 0.9, norm: tuple[float, float] = (0.5, 2.0)) -> None:
        """Raise `AssertionError` with a table of the parameters that are not this close.

        `ValueError` where the exact gradient of a parameter is zero: nothing was compared.
        """
        empty = [entry.name for entry in self.parameters if entry.exact_norm == 0]
        if empty:
            raise ValueError(
                f"The exact gradient of {', '.join(empty)} is zero on this data, so nothing is "
                "compared. Give data on which it matters, or freeze it with network.freeze(...)."
            )
        low, high = norm
        off = [
            entry
            for entry in self.parameters
            if not (entry.cosine >= cosine and low <= entry.norm_ratio <= high)
        ]
        if off:
            title = f"{self.rule}: not cosine >= {cosine:g} and norm ratio {low:g} to {high:g}"
            raise AssertionError(as_text(make_table(title, off)))


def fidelity(
    net: Network,
    rule: Rule,
    xs: Shaped[Array, "time batch m"],
    ys: Num[Array, "time batch *o"],
    loss: Loss | None = None,
    trial: Trial | None = None,
) -> Fidelity:
    r"""Compare a rule's gradient with the exact one (BPTT) on one block of data, from rest.

    The loss is cross-entropy for integer targets and the squared error otherwise, unless given. By
    lag: see `tracegrad.inspect.lag`; a rate regulariser and an adaptive feedback's weight decay
    belong to no step and are in the whole gradient only. Cost: `lags + 1` times that of the rule
    and of BPTT, `draws` times for the rule, so for small networks and some tens of steps. Float64
    (`jax.config.update("jax_enable_x64", True)`) resolves small parts.

    Raises `ValueError` for a network with a silent layer and for a parameter that learns but gets
    exactly zero where the exact gradient is not zero. Example:

    ```python
    net = tg.Network(
        tg.Layer(tg.Dense(8, 16, gain=4.0), tg.LIF(), recurrent=tg.Dense(16, 16)),
        readout=tg.Readout(16, 2),
        dt=1e-3,
    ).init(jax.random.key(0))
    xs = jax.random.bernoulli(jax.random.key(1), 0.3, (40, 4, 8)).astype(float)
    ys = jax.random.normal(jax.random.key(2), (40, 4, 2))
    found = tg.inspect.fidelity(net, tg.rules.eprop(), xs, ys)
    print(found)
    found.draw("fidelity.png")
    ```
    """
    trial = trial or Trial()
    if trial.draws < 1 or trial.lags < 1:
        raise ValueError(
            f"A trial needs at least one draw and one lag, got {trial.draws} and {trial.lags}."
        )
    rule.check(net)
    loss, data = loss or _usual_loss(ys), _data(net, xs, ys, trial.weight)
    exact, rates = _exact(net, loss, data)
    lags = min(trial.lags, len(xs))
    keys = jax.random.split(jax.random.key(0) if trial.key is None else trial.key, trial.draws)
    draws = _arrays(net, _rule_wholes(net, rule, loss, (data, keys)))
    _refuse_zeros(rule.name, draws, exact)
    true_parts = _arrays(net, _exact_parts(net, loss, data, lags))
    parts = _arrays(net, _rule_parts(net, rule, loss, (data, keys), lags))
    shown = lags if lags == len(xs) else lags + 1  # nothing is older than the block
    entries = []
    for name, true in exact.items():
        part, true_part = parts[name][:, :shown], true_parts[name][:shown]
        by_lag = agree_by_lag(part, true_part, shown > lags)
        entries.append(agree(name, draws[name], true, by_lag))
    return Fidelity(rule.name, tuple(entries), trial.draws, rates)


def judge(
    net: Network,
    given: Given,
    xs: Shaped[Array, "time batch m"],
    ys: Num[Array, "time batch *o"],
    loss: Loss | None = None,
    weight: Float[Array, "time batch"] | None = None,
) -> Fidelity:
    r"""Compare a gradient computed elsewhere with the exact one; not resolved by lag.

    `given` is a gradient of this library, or a mapping from each name of `net.names()` that learns
    to an array that NumPy reads, such as a PyTorch tensor without a graph. The exact gradient is
    that of $\frac1B\sum_b\sum_t w^t_b\,\ell^t_b$, in the shape of the library: rows of a weight are
    postsynaptic, and that of a time constant or threshold is with respect to its logarithm.
    Example:

    ```python
    given = {"layers.0.input.weight": w_in.grad, "readout.input.weight": w_out.grad}
    print(tg.inspect.judge(net.freeze("*.neuron.*"), given, xs, ys))
    ```
    """
    data = _data(net, xs, ys, weight)
    exact, rates = _exact(net, loss or _usual_loss(ys), data)
    arrays = read_gradient(net, given)
    draws = {name: array[None] for name, array in arrays.items()}
    _refuse_zeros("The given gradient", draws, exact)
    entries = (agree(name, draws[name], true, None) for name, true in exact.items())
    return Fidelity("the given gradient", tuple(entries), 1, rates)


def assert_faithful(
    net: Network,
    judged: Rule | Given,
    xs: Shaped[Array, "time batch m"],
    ys: Num[Array, "time batch *o"],
    cosine: float = 0.9,
    norm: tuple[float, float] = (0.5, 2.0),
) -> None:
    """Assert that a rule, or a gradient computed elsewhere, is close to the exact gradient.

    For tests of your own; `fidelity(...).require(...)` and `judge(...).require(...)` do the same
    for another loss, weights or draws. Raises as they do. Example:

    ```python
    def test_my_neuron_can_learn_online():
        tg.inspect.assert_faithful(net, tg.rules.block_diagonal(), xs, ys, cosine=0.95)
    ```
    """
    given = isinstance(judged, Network | Mapping)
    found = judge(net, judged, xs, ys) if given else fidelity(net, judged, xs, ys)
    found.require(cosine, norm)


def _usual_loss(ys: Array) -> Loss:
    return cross_entropy() if jnp.issubdtype(ys.dtype, jnp.integer) else mean_squared_error()


def _data(net: Network, xs: Array, ys: Array, weight: Array | None) -> Data:
    """A block with weight 1 at every step unless given; shapes are checked here."""
    lines = net.layers[0].input.inputs
    if xs.ndim != 3 or xs.shape[2] != lines or len(xs) == 0:
        raise ValueError(f"xs must have shape (time, batch, {lines}), got {xs.shape}.")
    weight = jnp.ones(xs.shape[:2], real_type(xs)) if weight is None else weight
    if ys.shape[:2] != xs.shape[:2] or weight.shape != xs.shape[:2]:
        raise ValueError(
            f"ys and weight must begin with (time, batch) = {xs.shape[:2]} as xs does, got "
            f"{ys.shape} and {weight.shape}."
        )
    return Data(xs, ys, weight, None).real


def _exact(net: Network, loss: Loss, data: Data) -> tuple[dict[str, Any], tuple[float, ...]]:
    """The exact gradient by parameter, and the mean output of every layer, none of them silent."""
    gradient, outcome = _whole(net, bptt(), loss, data, jax.random.key(0))
    silent = [str(index) for index, rate in enumerate(outcome.rates) if not jnp.any(rate)]
    if silent:
        raise ValueError(
            f"Hidden layer {', '.join(silent)} gives no output on this data, so that a comparison "
            "would show nothing. Raise the gain of its input connection, or give stronger input."
        )
    rates = tuple(float(jnp.mean(jnp.abs(rate))) for rate in outcome.rates)
    return _arrays(net, gradient), rates


@eqx.filter_jit
def _whole(
    net: Network, rule: Rule, loss: Loss, data: Data, key: PRNGKeyArray
) -> tuple[Network, Outcome]:
    """The gradient of a whole block as the optimiser sees it; random parts come from `key`."""
    feedback = rule.signal.init(net, key)
    circuit, plan = net.discretise(), choose(rule, loss, Work(None, carry=False)).plan
    batch = data.xs.shape[1]
    stream = plan.rest(circuit, batch, key)
    outcome = plan.block(circuit, feedback, stream, data)
    gradient = rule.signal.learn(circuit, feedback, outcome.gradient, outcome.stream.signal)[0]
    return pull_back(net, gradient), outcome


@eqx.filter_jit
def _exact_parts(net: Network, loss: Loss, data: Data, lags: int) -> Network:
    return exact_by_lag(net, loss, data, lags)


@eqx.filter_jit
def _rule_wholes(net: Network, rule: Rule, loss: Loss, run: tuple[Data, Array]) -> Network:
    """The whole gradient for every key, every leaf (draw, ...)."""
    data, keys = run
    return jax.lax.map(lambda k: _whole(net, rule, loss, data, k)[0], keys)


@eqx.filter_jit
def _rule_parts(
    net: Network, rule: Rule, loss: Loss, run: tuple[Data, Array], lags: int
) -> Network:
    """The parts by lag for every key, every leaf (draw, lags + 1, ...)."""
    data, keys = run

    def one(key: PRNGKeyArray) -> Network:
        return rule_by_lag(net, rule, loss, (data, rule.signal.init(net, key)), lags)

    return jax.lax.map(one, keys)


def _arrays(net: Network, tree: Network) -> dict[str, Any]:
    return {name: np.asarray(leaf) for name, leaf in learning_leaves(net, tree).items()}


def _refuse_zeros(who: str, draws: dict[str, Any], exact: dict[str, Any]) -> None:
    zeros = [name for name, true in exact.items() if np.any(true) and not np.any(draws[name])]
    if zeros:
        raise ValueError(
            f"{who} is exactly zero for {', '.join(zeros)}, where the exact gradient is not: a "
            "path is missing. Freeze what should not learn with network.freeze(...), or choose a "
            "rule that reaches it."
        )


def _plain(entry: Agreement) -> dict[str, Any]:
    by_lag = entry.by_lag
    plain = {name: _finite(value) for name, value in entry._asdict().items() if name != "by_lag"}
    return plain | {"by_lag": None if by_lag is None else _plain_lags(by_lag)}


def _plain_lags(by_lag: ByLag) -> dict[str, Any]:
    series = ("cosine", "norm_ratio", "sign_agreement", "share")
    columns = {name: [_finite(v) for v in getattr(by_lag, name).tolist()] for name in series}
    return {"lags": by_lag.labels, **columns}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
