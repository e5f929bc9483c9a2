"""What does exact RTRL cost beside the same contraction written by hand? One recurrent layer.

By hand: both states' influence as (batch, n, parameters) and one product a sample and step, of the
recurrent and readout weights together with the influence on the outputs. Ratios within one run.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp
import optax
import result
from references import Weights, training_step
from speed import Row, compiled, ours, timed
from workloads import ALPHA, BETA, KAPPA, LEARNING_RATE, SLOPE, Given, Workload, given

import tracegrad as tg

SIZES = Workload(64, 64, 20, 20, 8)


def by_hand(w: Weights, xs: jax.Array, classes: jax.Array) -> tuple[jax.Array, Weights]:
    """Loss and exact gradient, forward in time; the reset is differentiated."""
    (time, batch, lines), (n, outputs) = xs.shape, w.w_out.shape
    sources = lines + n
    mixing = jnp.concatenate([w.w_rec.T, w.w_out.T])
    still = jnp.zeros((batch, n))
    reach = jnp.zeros((batch, n, n * sources))
    read = jnp.zeros((batch, outputs, n * sources))

    def body(carry: tuple, x: jax.Array) -> tuple[tuple, jax.Array]:
        i, v, z, y, g_i, g_v, g_z, mixed, g_y, filtered, total, out = carry
        seen = jnp.concatenate([x, z], axis=-1)
        i = ALPHA * i + x @ w.w_in + z @ w.w_rec
        v = BETA * v + i - z
        z = (v > 1.0).astype(v.dtype)
        placed = jnp.einsum("nk,bs->bnks", jnp.eye(n), seen).reshape(g_i.shape)
        g_i = ALPHA * g_i + mixed + placed
        g_v = BETA * g_v + g_i - g_z
        g_z = (1.0 / (1.0 + SLOPE * jnp.abs(v - 1.0)) ** 2)[..., None] * g_v
        both = jnp.matmul(mixing[None], g_z)
        mixed, g_y = both[:, :n], KAPPA * g_y + both[:, n:]
        y, filtered = KAPPA * y + z @ w.w_out, KAPPA * filtered + z
        loss = -jnp.mean(jax.nn.log_softmax(y)[jnp.arange(batch), classes])
        error = (jax.nn.softmax(y) - jax.nn.one_hot(classes, outputs)) / batch
        total = total + jnp.einsum("bo,bop->p", error, g_y)
        out = out + filtered.T @ error
        return (i, v, z, y, g_i, g_v, g_z, mixed, g_y, filtered, total, out), loss

    nothing = jnp.zeros(n * sources)
    y = jnp.zeros((batch, outputs))
    start = (still, still, still, y, reach, reach, reach, reach, read, still, nothing)
    end, losses = jax.lax.scan(body, (*start, jnp.zeros_like(w.w_out)), xs)
    inner = end[-2].reshape(n, sources).T / time
    return jnp.mean(losses), Weights(inner[:lines], inner[lines:], end[-1] / time)


def rows(arrays: Given) -> dict[str, Row]:
    """What is compared."""
    adam = optax.adam(LEARNING_RATE)
    weights = Weights(*map(jnp.asarray, (arrays.w_in, arrays.w_rec, arrays.w_out)))
    fixed = (jnp.asarray(arrays.xs), jnp.asarray(arrays.classes))
    hand = compiled(training_step(by_hand, adam), (weights, adam.init(weights)), fixed)
    return {"by hand": hand, "rtrl": ours(tg.rules.rtrl(), SIZES, arrays, None, None, adam)}


def main() -> None:
    """Measure, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    found = rows(given(SIZES, density=0.2))
    times = timed(found, options.seconds)
    base = statistics.median(times["by hand"])
    kept = []
    for label, row in found.items():
        median = statistics.median(times[label])
        kept.append(
            {
                "row": label,
                "ms": 1e3 * median,
                "best_ms": 1e3 * min(times[label]),
                "ratio": median / base,
                "runs": len(times[label]),
                "memory_mib": row.memory / 2**20,
            }
        )
        print(kept[-1])
    result.write("rtrl", SIZES._asdict(), kept)


if __name__ == "__main__":
    main()
