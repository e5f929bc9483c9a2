"""How far do block rules turn from BPTT as recurrence grows? One layer of current-based LIF."""

import argparse

import jax
import jax.numpy as jnp
import result
from cosine import cosine, draw, gradients

import tracegrad as tg

INPUTS, HIDDEN, OUTPUTS, STEPS = 20, 24, 5, 80
RULES = {
    "block_diagonal": (tg.rules.block_diagonal(), False),
    "eprop": (tg.rules.eprop(), False),
    "bptt, detached reset": (tg.rules.bptt(), True),
}


def network(recurrent_gain: float, gain: float, detached: bool) -> tg.Network:
    """24 neurons with recurrent weights of standard deviation gain / root of 24."""
    neuron = tg.CubaLIF(reset=tg.SubtractReset(detached=detached), surrogate=tg.SuperSpike(10.0))
    recurrent = tg.Dense(HIDDEN, HIDDEN, gain=recurrent_gain)
    layer = tg.Layer(tg.Dense(INPUTS, HIDDEN, gain=gain), neuron, recurrent=recurrent)
    return tg.Network(layer, readout=tg.Readout(HIDDEN, OUTPUTS, tau=20e-3), dt=1e-3)


def blanks(detached: bool, gain: float) -> jax.tree_util.PyTreeDef:
    """The structure of a network with weights, whatever its recurrent gain."""
    return jax.tree.structure(network(1.0, gain, detached).init(jax.random.key(0)))


def main() -> None:
    """Compare all rules at every gain and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=10)
    parser.add_argument("--gain", type=float, default=6.0)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--gains", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0, 4.0])
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = []
    for recurrent in arguments.gains:
        blank = network(recurrent, arguments.gain, False)
        drawn, data = draw(blank, arguments.nets, STEPS, 1, arguments.rate)
        # One target for a whole sequence, as of a class.
        data = data._replace(ys=jnp.broadcast_to(data.ys[:, :1], data.ys.shape))
        # One structure for all gains, so that each rule is compiled once.
        leaves = jax.tree.leaves(drawn)
        networks = {d: jax.tree.unflatten(blanks(d, arguments.gain), leaves) for d in (False, True)}
        exact, rates = gradients(networks[False], tg.rules.bptt(), data)
        for name, (rule, detached) in RULES.items():
            ours, _ = gradients(networks[detached], rule, data)
            a, b = ours.layers[0], exact.layers[0]
            row = {
                "recurrent_gain": recurrent,
                "rule": name,
                "input": cosine(a.input.weight, b.input.weight),
                "recurrent": cosine(a.recurrent.weight, b.recurrent.weight),
                "rates": rates,
            }
            rows.append(row)
            print(recurrent, name, row["input"], row["recurrent"]["cosine"], rates, flush=True)
    settings = vars(arguments) | {"steps": STEPS, "hidden": HIDDEN, "float": "float64"}
    print(result.write("gain_cosine", settings, rows))


if __name__ == "__main__":
    main()
