"""How close to the exact gradient do wider blocks come? Cosine to BPTT by group size and gain."""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
import result

import tracegrad as tg

INPUTS, NEURONS, OUTPUTS, STEPS, BATCH = 20, 24, 3, 80, 2


def network(gain: float) -> tg.Network:
    """One recurrent layer of current-based neurons whose recurrent weights have std gain/sqrt n."""
    layer = tg.Layer(
        tg.Dense(INPUTS, NEURONS, gain=6.0),
        tg.CubaLIF(tau_mem=20e-3, tau_syn=5e-3),
        recurrent=tg.Dense(NEURONS, NEURONS, gain=gain),
    )
    net = tg.Network(layer, readout=tg.Readout(NEURONS, OUTPUTS, tau=20e-3), dt=1e-3)
    return net.freeze("*.neuron.*")


def gradients(net: tg.Network, rule: tg.Rule, seeds: list[int]) -> tuple[list, list]:
    """The gradient of input and recurrent weights for each seed, and the spikes per step."""
    learner = tg.Learner(net, rule, tg.losses.mean_squared_error(), optax.sgd(0.0))
    vectors, rates = [], []
    for seed in seeds:
        state = learner.init(jax.random.key(seed), BATCH)
        keys = jax.random.split(jax.random.key(1000 + seed))
        xs = jax.random.bernoulli(keys[0], 0.1, (STEPS, BATCH, INPUTS)).astype(float)
        ys = jax.random.normal(keys[1], (STEPS, BATCH, OUTPUTS))
        gradient, _, info = learner.gradient(state, xs, ys)
        layer = gradient.layers[0]
        parts = (layer.input.weight, layer.recurrent.weight)
        vectors.append(np.concatenate([np.ravel(part) for part in parts]))
        rates.append(float(jnp.mean(info.rates[0])))
    return vectors, rates


def main() -> None:
    """Compare groups of every size, at each gain, over the seeds, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 12, 24])
    parser.add_argument("--gains", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)))
    arguments = parser.parse_args()
    rows = []
    for gain in arguments.gains:
        net = network(gain)
        exact, rates = gradients(net, tg.rules.bptt(), arguments.seeds)
        for size in arguments.sizes:
            ours, _ = gradients(net, tg.rules.block(size), arguments.seeds)
            cosines = [
                float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
                for a, b in zip(ours, exact, strict=True)
            ]
            row = {"gain": gain, "group": size, "cosine": float(np.mean(cosines))}
            row |= {"spread": float(np.std(cosines)), "spikes_per_step": float(np.mean(rates))}
            rows.append(row)
            print(row, flush=True)
    settings = {"neurons": NEURONS, "steps": STEPS, "batch": BATCH, "seeds": arguments.seeds}
    print(result.write("locality_dial", settings, rows))


if __name__ == "__main__":
    main()
