"""A neuron of your own, with currents that follow a spike; as a script, its rule against BPTT."""

import jax
import jax.numpy as jnp
import optax

import tracegrad as tg


class Glif(tg.AbstractNeuron):
    r"""Leaky integrate-and-fire with two after-spike currents: a fast push and a slow pull.

    $v^t=\alpha v^{t-1}+f^t+p^t+I^t$ and a reset, $f^t=\rho_f f^{t-1}+a_f z^{t-1}$, and the same for
    the slow $p$. Spikes come in short bursts. Source: Mihalas & Niebur 2009; Teeter et al. 2018
    (GLIF 3), here in units of the threshold.
    """

    tau_mem: tg.Positive = tg.positive(20e-3)  # seconds; learns
    tau_fast: tg.Positive = tg.positive(3e-3)
    tau_slow: tg.Positive = tg.positive(80e-3)
    push: jax.Array = tg.parameter(0.2)  # of either sign; learns
    pull: jax.Array = tg.parameter(-0.05)
    reset: tg.AbstractReset = tg.SubtractReset()
    surrogate: tg.AbstractSurrogate = tg.SuperSpike()

    def coefficients(self, dt):
        taus = {"alpha": self.tau_mem, "rho_fast": self.tau_fast, "rho_slow": self.tau_slow}
        decays = {name: tg.decay(dt, tau) for name, tau in taus.items()}
        return {**decays, "push": self.push, "pull": self.pull}

    def init(self, c):
        zero = 0.0 * c["alpha"]
        return {"v": zero, "fast": zero, "slow": zero}

    def step(self, c, s, z, current):
        fast = c["rho_fast"] * s["fast"] + c["push"] * z
        slow = c["rho_slow"] * s["slow"] + c["pull"] * z
        v = self.reset(c["alpha"] * s["v"] + fast + slow + current, z, 1.0)
        return {"v": v, "fast": fast, "slow": slow}

    def output(self, c, s):
        return self.surrogate(s["v"] - 1.0)


def gradient(rule: tg.Rule) -> tg.Network:
    """Gradient of a rule on random spikes."""
    net = tg.Network(
        tg.Layer(tg.Dense(8, 16, gain=1.0), Glif()), readout=tg.Readout(16, 2), dt=1e-3
    )
    learner = tg.Learner(net, rule, tg.losses.mean_squared_error(), optax.sgd(1e-2))
    state = learner.init(jax.random.key(0), batch=4)
    xs = jax.random.bernoulli(jax.random.key(1), 0.3, (80, 4, 8)).astype(jnp.float32)
    ys = jax.random.normal(jax.random.key(2), (80, 4, 2))
    found, _, info = learner.gradient(state, xs, ys)
    assert 0.01 < float(info.rates[0].mean()) < 0.5, "it must spike"
    return found


if __name__ == "__main__":
    online, exact = gradient(tg.rules.block_diagonal()), gradient(tg.rules.bptt())
    names = jax.tree.leaves(online.names())
    pairs = zip(jax.tree.leaves(online), jax.tree.leaves(exact), strict=True)
    for name, (a, b) in zip(names, pairs, strict=True):
        off = float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))
        print(f"{name:32} differs from BPTT by {off:.1e}")
        assert off < 1e-4, "without recurrence the block diagonal is exact"
