"""Spyx: RCuBaLIF and LI in its Sequential, its own train step, BPTT by JAX."""

import jax
import jax.numpy as jnp
import optax
import spyx
import spyx.nn as snn
from flax import nnx
from spyx import axn, optimize
from worker import Step, Work, serve


def bptt(work: Work) -> Step:
    """One compiled training step."""
    _, _, lines, hidden, outputs = work.sizes
    rngs = nnx.Rngs(0)
    neurons = snn.RCuBaLIF(
        (hidden,),
        alpha=work.alpha,
        beta=work.beta,
        threshold=1.0,
        activation=axn.superspike(work.slope),
        rngs=rngs,
    )
    net = snn.Sequential(
        nnx.Linear(lines, hidden, use_bias=False, rngs=rngs),
        neurons,
        nnx.Linear(hidden, outputs, use_bias=False, rngs=rngs),
        snn.LI((outputs,), beta=work.kappa, rngs=rngs),
    )
    net.layers[0].kernel.value = jnp.asarray(work.w_in)
    net.layers[1].recurrent_w.value = jnp.asarray(work.w_rec)
    net.layers[2].kernel.value = jnp.asarray(work.w_out)

    def loss(net: snn.Sequential, xs: jax.Array, classes: jax.Array) -> jax.Array:
        seen, _ = spyx.nn.run(net, xs)
        logs = jax.nn.log_softmax(seen)
        target = jnp.broadcast_to(classes[None, :, None], (*seen.shape[:2], 1))
        return -jnp.mean(jnp.take_along_axis(logs, target, -1))

    optimiser = nnx.Optimizer(net, optax.adam(work.learning_rate), wrt=nnx.Param)
    train = optimize.make_train_step(loss)
    xs, classes = jnp.asarray(work.xs), jnp.asarray(work.classes)
    return lambda: float(train(net, optimiser, xs, classes))


if __name__ == "__main__":
    serve({"BPTT": bptt})
