"""Every rule beside the exact gradient on two small networks, and what it costs there."""

import argparse
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import result
from cosine import draw

import tracegrad as tg
from tracegrad.inspect.perturb import every_step
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import AbstractPlan, Data
from tracegrad.learn.plans.planner import Work, choose

INPUTS, HIDDEN, OUTPUTS = 20, 24, 4
TAU = 20e-3
RULES = {make.__name__: make() for make in tg.rules.RULES}
# Rules whose needs ask for another neuron, connection or readout get it, in every network.
VARIANTS = {
    "rflo": "Tanh in place of spiking neurons",
    "otpe": "no recurrence",
    "superspike": "a double exponential as readout",
}
# What would be compared is no estimate of this gradient: reasons, not numbers.
NOT_COMPARABLE = {
    "reward_eprop": "follows rewards: its product waits for a TD error",
    "osttp": "follows the target through random weights, not the loss",
    "etlp": "follows the target through random weights, not the loss",
    "decolle": "follows a local loss of each layer",
    "dni": "its prediction has to be learned first",
}


class Suite(NamedTuple):
    """The neurons of a network, which parameters are compared, and its input gain."""

    neurons: tuple[type[tg.AbstractNeuron], ...]
    kinds: dict[str, Any]
    gain: float


SUITES = {
    "CubaLIF": Suite(
        (tg.CubaLIF,),
        {
            "input": lambda net: net.layers[0].input.weight,
            "recurrent": lambda net: net.layers[0].recurrent.weight,
            "readout": lambda net: net.readout.input.weight,
        },
        8.0,
    ),
    "LIF, two layers": Suite(
        (tg.LIF, tg.LIF),
        {
            "lower layer": lambda net: net.layers[0].input.weight,
            "input": lambda net: net.layers[1].input.weight,
            "recurrent": lambda net: net.layers[1].recurrent.weight,
            "readout": lambda net: net.readout.input.weight,
        },
        2.5,
    ),
}


def network(suite: Suite, rule: str) -> tg.Network:
    """The network of a suite, as far as the rule can serve it."""
    layers = []
    for index, neuron in enumerate(suite.neurons):
        made: Any = tg.Tanh if rule == "rflo" else neuron
        recurrent = None if rule == "otpe" else tg.Dense(HIDDEN, HIDDEN, gain=1.0)
        below = HIDDEN if index else INPUTS
        layers.append(
            tg.Layer(tg.Dense(below, HIDDEN, gain=suite.gain), made(tau_mem=TAU), recurrent)
        )
    readout = tg.Readout(HIDDEN, OUTPUTS, tau=TAU)
    if rule == "superspike":
        readout = tg.Readout.of(tg.DoubleExponential(), HIDDEN, OUTPUTS)
    return tg.Network(*layers, readout=readout, dt=1e-3).freeze("*.neuron.*")


def random(rule: tg.Rule, net: tg.Network) -> bool:
    """Whether a rule draws: its influence, or its feedback."""
    drawn = [jax.tree.leaves(rule.signal.init(net, jax.random.key(key))) for key in (0, 1)]
    feedback = any(bool(jnp.any(a != b)) for a, b in zip(*drawn, strict=True))
    return feedback or getattr(rule.influence, "unbiased", False)


@eqx.filter_jit
def gradients(nets: tg.Network, data: Data, keys: jax.Array, plan: AbstractPlan) -> tuple:
    """Gradient of every network, for every draw (second axis), and its mean outputs."""

    def one(net: tg.Network, data: Data, key: jax.Array) -> tuple:
        circuit, feedback = net.discretise(), plan.rule.signal.init(net, key)
        stream = plan.rest(circuit, data.xs.shape[1], key)
        outcome = plan.block(circuit, feedback, stream, data)
        return pull_back(net, outcome.gradient), outcome.rates

    def draws(net: tg.Network, data: Data, keys: jax.Array) -> tuple:
        return jax.lax.map(lambda key: one(net, data, key), keys)

    return jax.vmap(draws)(nets, data, keys)


def compare(suite: Suite, name: str, options: argparse.Namespace) -> dict:
    """Cosine with BPTT of each kind of parameter, of every seed: the mean over draws."""
    blank, loss = network(suite, name), tg.losses.mean_squared_error()
    nets, data = draw(blank, options.seeds, options.steps, options.batch, options.rate)
    one = jax.tree.map(lambda a: a[0], nets)
    count = options.draws if random(RULES[name], one) else 1
    keys = jax.random.split(jax.random.key(1), (options.seeds, count))
    exact, rates = gradients(
        nets, data, keys[:, :1], choose(tg.rules.bptt(), loss, Work(None, False)).plan
    )
    mean = [float(jnp.mean(jnp.abs(rate))) for rate in rates]
    limit = 1.0 if name == "rflo" else 0.5
    if not all(0.01 < rate < limit for rate in mean):
        raise RuntimeError(f"{name}: mean outputs {mean} show nothing. Change the gain.")
    ours, _ = gradients(nets, data, keys, choose(RULES[name], loss, Work(None, False)).plan)
    cosines = {
        kind: angles(pick(ours), pick(exact))
        for kind, pick in suite.kinds.items()
        if not (kind == "recurrent" and blank.layers[0].recurrent is None)
    }
    return {"cosine": cosines, "draws": count, "rates": mean}


def angles(ours: jax.Array, exact: jax.Array) -> list[float]:
    """Cosine of each network (first axis), the mean over draws (second)."""
    a, b = (np.asarray(g).reshape(*g.shape[:2], -1) for g in (ours, exact))
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    if not lengths.all():
        raise RuntimeError("A gradient is zero: there is no angle.")
    return (np.sum(a * b, axis=-1) / lengths).mean(axis=1).tolist()


def judge(suite: Suite, name: str, options: argparse.Namespace) -> dict:
    """What a rule costs and needs, and how close it comes; or why it does not."""
    rule, blank = RULES[name], network(suite, name)
    try:
        rule.check(blank)
    except ValueError as error:
        return {"refused": str(error)}
    found = {"audit": tg.inspect.audit(blank, rule).to_dict(), "offline": not rule.online}
    found["plan"] = type(every_step(rule)).__name__
    if name in NOT_COMPARABLE:
        return found | {"not_comparable": NOT_COMPARABLE[name]}
    return found | compare(suite, name, options)


def main() -> None:
    """Judge all rules on both networks and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.1)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = []
    for title, suite in SUITES.items():
        for name in RULES:
            row = {"network": title, "rule": name, "variant": VARIANTS.get(name)}
            rows.append(row | judge(suite, name, options))
            shown = {k: round(float(np.mean(v)), 3) for k, v in rows[-1].get("cosine", {}).items()}
            print(title, name, shown, rows[-1].get("rates"), rows[-1].get("refused"), flush=True)
    sizes = {"inputs": INPUTS, "hidden": HIDDEN, "outputs": OUTPUTS, "float": "float64"}
    print(result.write("rules", vars(options) | sizes, rows))


if __name__ == "__main__":
    main()
