"""Which way does it move? A convolution learns it from the events of a camera, which it makes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tracegrad as tg

SIDE, STEPS, BATCH = 14, 14, 32
SHAPE = (2, SIDE, SIDE)  # ON and OFF, rows, columns


def moving_bars(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Events (time, count, lines) of bars that go right, down, left or up, and which it is.

    A pixel that gets brighter sends ON, one that gets darker OFF. Bars begin anywhere, cover a part
    of the other axis and wrap around; one pixel in a hundred fires by itself.
    """
    ways = rng.integers(4, size=count)
    light = np.zeros((STEPS + 1, count, SIDE, SIDE), bool)
    for index, way in enumerate(ways):
        start, side, length = rng.integers(SIDE), rng.integers(5), rng.integers(6, 10)
        for step in range(STEPS + 1):
            front = (start + step + np.arange(3)) % SIDE
            light[step, index, side : side + length, front] = True
        light[:, index] = np.rot90(light[:, index], -way, axes=(1, 2))
    on, off = light[1:] & ~light[:-1], ~light[1:] & light[:-1]
    events = np.stack([on, off], axis=2) | (rng.random((STEPS, count, *SHAPE)) < 0.01)
    return events.reshape(STEPS, count, -1).astype(np.float32), ways.astype(np.int32)


first = tg.Conv(SHAPE, channels=8, kernel=5, stride=2, gain=3.0, bias=True)
second = tg.Conv(first.out_shape, channels=16, kernel=3, gain=3.0, bias=True)
net = tg.Network(
    tg.Layer(first, tg.LIF(tau_mem=10e-3)),
    tg.Layer(second, tg.LIF(tau_mem=10e-3)),
    readout=tg.Readout(second.outputs, 4, tau=20e-3),
    dt=1e-3,
).freeze("*.neuron.*")
learner = tg.Learner(net, tg.rules.block_diagonal(), tg.losses.cross_entropy(), optax.adam(5e-3))

rng = np.random.default_rng(0)
state = learner.init(jax.random.key(0), BATCH, stream=False)
for update in range(1, 141):
    xs, ways = moving_bars(BATCH, rng)
    state, info = learner.sequence(state, xs, np.broadcast_to(ways, (STEPS, BATCH)))
    if update % 35 == 0:
        rates = ", ".join(f"{float(rate.mean()):.3f}" for rate in info.rates)
        print(f"update {update}: loss {float(info.loss) / STEPS:.3f}, rates {rates}")

xs, ways = moving_bars(200, np.random.default_rng(1))
outputs, _ = state.network(jnp.asarray(xs))
said = jnp.argmax(jnp.mean(outputs[-1], axis=0), axis=-1)
accuracy = float(jnp.mean(said == ways))
print(f"test accuracy {accuracy:.3f}")
assert accuracy > 0.9, "it must have learned"
