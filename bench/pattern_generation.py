"""Does e-prop learn the sum of sines as fast as BPTT? The learning curve of 2000 iterations."""

import argparse
import time

import jax
import numpy as np
import optax
import result

import tracegrad as tg
from tracegrad.data import pattern_generation

MARKS = (100, 500, 1000, 2000)
RULES = {
    "bptt": tg.rules.bptt,
    "eprop symmetric": tg.rules.eprop,
    "eprop random": lambda: tg.rules.eprop(signal=tg.signals.Random()),
    "block_diagonal": tg.rules.block_diagonal,
}


def learner(rule: str) -> tg.Learner:
    """The network and learner of Bellec et al. 2020: 100 LIF, SGD once a sequence."""
    neuron = tg.LIF(
        tau_mem=30e-3,
        v_threshold=0.03,
        surrogate=tg.Triangle(0.3),
        normalised=True,
    )
    layer = tg.Layer(tg.Dense(100, 100), neuron, recurrent=tg.Dense(100, 100), autapses=False)
    net = tg.Network(layer, readout=tg.Readout(100, 1, tau=30e-3), dt=1e-3).freeze("*.neuron.*")
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(strength=300.0, target=0.01))
    return tg.Learner(net, RULES[rule](), loss, optax.sgd(1e-4))


def curve(rule: str, seed: int, iterations: int) -> dict:
    """Mean loss over the last 20 iterations at each mark."""
    learn = learner(rule)
    state = learn.init(jax.random.key(seed), batch=1)
    batch = next(pattern_generation(seed=seed).train.batches(1, None))
    losses, begun = [], time.perf_counter()
    for _ in range(iterations):
        state, info = learn.sequence(state, batch.xs, batch.ys)
        losses.append(info.loss)
    values = np.array(losses)
    marks = {str(m): float(values[m - 20 : m].mean()) for m in MARKS if m <= iterations}
    rate = float(np.mean(info.rates[0]))
    seconds = time.perf_counter() - begun
    return {
        "rule": rule,
        "seed": seed,
        "first": float(values[0]),
        "loss": marks,
        "spikes_per_step": rate,
        "seconds": seconds,
    }


def main() -> None:
    """Run all rules and seeds and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    rows = []
    for rule in RULES:
        for seed in arguments.seeds:
            rows.append(curve(rule, seed, arguments.iterations))
            print(rows[-1], flush=True)
            settings = {"iterations": arguments.iterations, "float": "float32", "sgd": 1e-4}
            result.write("pattern_generation", settings, rows)


if __name__ == "__main__":
    main()
