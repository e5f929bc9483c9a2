"""Learn to read digits online, from spike events, with an update every five time steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tracegrad as tg

task = tg.data.digits()
net = tg.Network(
    tg.Layer(tg.Dense(64, 64, gain=8.0), tg.LIF(tau_mem=10e-3), recurrent=tg.Dense(64, 64)),
    readout=tg.Readout(64, 10, tau=20e-3),
    dt=task.dt,
).freeze("*.neuron.*")
learner = tg.Learner(
    net, tg.rules.block_diagonal(), tg.losses.cross_entropy(), optax.adam(5e-3), update_every=5
)
state = learner.init(jax.random.key(0), batch=32)
rng = np.random.default_rng(0)
for epoch in range(4):
    for xs, ys, weight, valid in task.train.batches(32, rng):
        state, info = learner.sequence(state, xs, ys, weight, valid)
    print(f"epoch {epoch}: loss {float(info.loss):.3f}, rate {float(info.rates[0].mean()):.3f}")

right = total = 0
for xs, ys, _, valid in task.test.batches(71, None):
    outputs, _ = state.network(jnp.asarray(xs))
    said = jnp.argmax(jnp.mean(outputs[-1], axis=0), axis=-1)
    exists = valid.any(axis=0)
    right += int(jnp.sum((said == ys[0]) & exists))
    total += int(exists.sum())
print(f"test accuracy {right / total:.3f}")
assert right / total > 0.8, "it must have learned"
