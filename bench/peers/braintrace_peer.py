"""BrainTrace: its online rules and BPTT on a recurrent current-based LIF layer of its own parts.

The layer is that of its examples: one linear map of input and spikes, an exponential synapse, LIF.
Its LIF divides the current by its time constant, so weights are divided by 1 - beta.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import brainpy.state
import brainstate
import braintools
import braintrace
import jax
import jax.numpy as jnp
from worker import Step, Work, serve

ONLINE = {
    "D-RTRL": (braintrace.D_RTRL, {}),
    "pp_prop": (braintrace.pp_prop, {"decay_or_rank": 0.9}),
}


class Recurrent(brainstate.nn.Module):
    """The hidden layer."""

    def __init__(self, work: Work):
        """With the weights of the workload; time constants in steps."""
        super().__init__()
        _, _, lines, hidden, _ = work.sizes
        zero = braintools.init.ZeroInit()
        self.neurons = brainpy.state.LIF(
            hidden,
            R=1.0,
            tau=10.0,
            spk_fun=braintools.surrogate.InvSquareGrad(alpha=work.slope),
            spk_reset="soft",
            V_th=1.0,
            V_reset=0.0,
            V_rest=0.0,
            V_initializer=zero,
        )
        weights = jnp.concatenate([work.w_in, work.w_rec]) / (1 - work.beta)
        self.synapse = brainpy.state.AlignPostProj(
            comm=braintrace.nn.Linear(lines + hidden, hidden, weights, b_init=None),
            syn=brainpy.state.Expon(hidden, tau=5.0, g_initializer=zero),
            out=brainpy.state.CUBA(scale=1.0),
            post=self.neurons,
        )

    def update(self, x: jax.Array) -> jax.Array:
        """One step: spikes."""
        self.synapse(jnp.concatenate([x, self.neurons.get_spike()], axis=-1))
        self.neurons(0.0)
        return self.neurons.get_spike()


class Net(brainstate.nn.Module):
    """The hidden layer and a leaky readout."""

    def __init__(self, work: Work):
        """With the weights of the workload."""
        super().__init__()
        _, _, _, hidden, outputs = work.sizes
        self.hidden = Recurrent(work)
        self.readout = braintrace.nn.LeakyRateReadout(
            hidden, outputs, tau=20.0, w_init=lambda shape: jnp.asarray(work.w_out)
        )

    def update(self, x: jax.Array) -> jax.Array:
        """One step: the readout."""
        return self.readout(self.hidden(x))


def _training(work: Work) -> tuple[Net, Any, Any]:
    brainstate.environ.set(dt=1.0)
    net = Net(work)
    weights = net.states(brainstate.ParamState)
    optimiser = braintools.optim.Adam(lr=work.learning_rate)
    optimiser.register_trainable_weights(weights)
    return net, weights, optimiser


def _loss(readout: jax.Array, classes: jax.Array) -> jax.Array:
    return braintools.metric.softmax_cross_entropy_with_integer_labels(readout, classes).mean()


def bptt(work: Work) -> Step:
    """Reverse mode through its own loop."""
    net, weights, optimiser = _training(work)
    xs, classes = jnp.asarray(work.xs), jnp.asarray(work.classes)

    @brainstate.transform.jit
    def step(xs: jax.Array) -> jax.Array:
        brainstate.nn.init_all_states(net, batch_size=xs.shape[1])

        def sequence() -> jax.Array:
            return brainstate.transform.for_loop(lambda x: _loss(net(x), classes), xs).mean()

        gradient, loss = brainstate.transform.grad(sequence, weights, return_value=True)()
        optimiser.update(gradient)
        return loss

    return lambda: float(step(xs))


def _rest(net: Net, learner: Any) -> None:
    """States and traces back to zero, within the compiled step."""
    states = [*net.states(brainstate.HiddenState).values()]
    states += [s for s in learner.states().values() if isinstance(s, braintrace.EligibilityTrace)]
    for state in states:
        state.value = jax.tree.map(jnp.zeros_like, state.value)
    learner.running_index.value = jnp.zeros_like(learner.running_index.value)


def online(rule: str, every_step: bool, work: Work) -> Step:
    """An online rule: one update a sequence, or one at every step."""
    net, weights, optimiser = _training(work)
    xs, classes = jnp.asarray(work.xs), jnp.asarray(work.classes)
    make, options = ONLINE[rule]
    learner = braintrace.compile(net, make, xs[0], batch_size=xs.shape[1], **options)

    def loss(x: jax.Array) -> jax.Array:
        return _loss(learner(x), classes)

    @brainstate.transform.jit
    def step(xs: jax.Array) -> jax.Array:
        _rest(net, learner)
        if not every_step:
            gradient, value = learner.etrace_grad(
                xs, step_fn=loss, loss_output="scalar", return_value=True
            )
            optimiser.update(gradient)
            return value
        slope = brainstate.transform.grad(loss, weights, return_value=True)

        def body(x: jax.Array) -> jax.Array:
            gradient, value = slope(x)
            optimiser.update(gradient)
            return value

        return brainstate.transform.for_loop(body, xs).mean()

    return lambda: float(step(xs))


MODES: dict[str, Callable[[Work], Step]] = {"BPTT": bptt}
for name in ONLINE:
    MODES[name] = partial(online, name, False)
    MODES[f"{name}, Adam every step"] = partial(online, name, True)

if __name__ == "__main__":
    serve(MODES)
