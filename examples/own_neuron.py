"""Write a neuron of your own: its online rule follows, and equals the exact gradient."""

import jax
import jax.numpy as jnp
import optax

import tracegrad as tg


class Resonator(tg.AbstractNeuron):
    """A damped oscillator that spikes when its position passes the threshold."""

    tau: tg.Positive = tg.positive(30e-3)  # seconds; learns
    frequency: tg.Positive = tg.positive(20.0)  # hertz; learns
    reset: tg.AbstractReset = tg.NoReset()
    surrogate: tg.AbstractSurrogate = tg.SuperSpike()

    def coefficients(self, dt):
        radius, angle = tg.decay(dt, self.tau), 2 * jnp.pi * self.frequency.value * dt
        return {"cosine": radius * jnp.cos(angle), "sine": radius * jnp.sin(angle)}

    def init(self, c):
        return {"x": 0.0 * c["cosine"], "y": 0.0 * c["cosine"]}

    def step(self, c, s, z, current):
        x = c["cosine"] * s["x"] - c["sine"] * s["y"] + current
        y = c["sine"] * s["x"] + c["cosine"] * s["y"]
        return {"x": x, "y": y}

    def output(self, c, s):
        return self.surrogate(s["y"] - 1.0)


def gradient(rule: tg.Rule) -> tg.Network:
    """Gradient of a rule on random spikes."""
    net = tg.Network(
        tg.Layer(tg.Dense(8, 16, gain=4.0), Resonator()), readout=tg.Readout(16, 2), dt=1e-3
    )
    learner = tg.Learner(net, rule, tg.losses.mean_squared_error(), optax.sgd(1e-2))
    state = learner.init(jax.random.key(0), batch=4)
    xs = jax.random.bernoulli(jax.random.key(1), 0.3, (80, 4, 8)).astype(jnp.float32)
    ys = jax.random.normal(jax.random.key(2), (80, 4, 2))
    found, _, info = learner.gradient(state, xs, ys)
    assert 0.01 < float(info.rates[0].mean()) < 0.5, "it must spike"
    return found


online, exact = gradient(tg.rules.block_diagonal()), gradient(tg.rules.bptt())
for name, a, b in zip(
    jax.tree.leaves(online.names()), jax.tree.leaves(online), jax.tree.leaves(exact), strict=True
):
    off = float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))
    print(f"{name:32} differs from BPTT by {off:.1e}")
    assert off < 1e-4, "without recurrence the block diagonal is exact"
