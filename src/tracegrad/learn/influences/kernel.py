"""Kernel: the influence as a trace of each synapse times a learned matrix between neurons."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import (
    AbstractInfluence,
    Cotangents,
    Sources,
    Trace,
    eligibility,
    forget,
    pull_stage,
)
from tracegrad.learn.influences.immediate import Immediate
from tracegrad.learn.local import Local
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals, Symmetric
from tracegrad.model.adjustable import adjustable
from tracegrad.model.network import Circuit, Moment, Network, State
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports

_STEP = Immediate()


class Smooth(NamedTuple):
    """Traces B of one layer, what its immediate influence is made of, and its decays (batch, n)."""

    trace: Sources
    taps: dict[str, Sources]
    now: Trace
    decay: Float[Array, "batch n"]


class LearnedSmoothing(AbstractInfluence):
    r"""Immediate influence on a neuron's own output, filtered with its own learned decay.

    $B_{ij}\leftarrow\lambda_iB_{ij}+\partial z_i/\partial w_{ij}|_{step}$   (1)

    The decay comes from the feedback of `Kernel`. The readout's own trace is exact. Memory
    O(batch k p), time O(batch k p) a step.
    """

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is detached."""
        return circuit

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> tuple[Any, ...]:
        """All traces zero."""
        *hidden, readout = _STEP.init(circuit, taps, batch, key)
        return (*(_no_smooth(trace, batch) for trace in hidden), readout)

    def begin(self, memory: tuple[Any, ...], feedback: Feedback) -> tuple[Any, ...]:
        """The decays as they stand."""
        *hidden, readout = memory
        decays = _parts(feedback)[1]
        return (
            *(
                smooth._replace(
                    taps=forget(smooth.taps),
                    decay=jnp.broadcast_to(decay[None], smooth.decay.shape),
                )
                for smooth, decay in zip(hidden, decays, strict=True)
            ),
            readout,
        )

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Any, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Any, ...]:
        """Equation (1) for every layer."""
        *hidden, last = memory
        *steps, readout = _STEP.push(
            circuit, {}, (*(smooth.now for smooth in hidden), last), moment, locals_
        )
        pushed = (
            _push_smooth(smooth, now, taps) for smooth, now in zip(hidden, steps, strict=True)
        )
        return (*pushed, readout)

    def pull(self, circuit: Circuit, memory: tuple[Any, ...], cotangents: Cotangents) -> Circuit:
        """Signal times trace, summed over the batch."""
        *hidden, readout = memory
        reads = [{OUTPUT: smooth.trace, **smooth.taps} for smooth in hidden]
        reads.append({OUTPUT: eligibility(readout)})
        stages = map(pull_stage, circuit.stages, reads, cotangents)
        return Circuit(tuple(stages), circuit.all_layers)


def _no_smooth(trace: Trace, batch: int) -> Smooth:
    decay = jnp.zeros_like(next(iter(trace.emit.values())))
    return Smooth(eligibility(trace), trace.taps, trace._replace(taps={}), decay)


def _push_smooth(smooth: Smooth, now: Trace, taps: Taps) -> Smooth:
    trace = jax.tree.map(
        lambda b, e: smooth.decay[..., None] * b + e, smooth.trace, eligibility(now)
    )
    filtered = {
        name: jax.tree.map(lambda q, b, tap=taps[name]: tap.decay * q + tap.gain * b, old, trace)
        for name, old in smooth.taps.items()
    }
    return smooth._replace(trace=trace, taps=filtered, now=now)


class Guess(NamedTuple):
    """One layer's noise as the kernel sees it, and the gradients of A and of the decay so far."""

    noise: Float[Array, "batch n"]
    slope: Float[Array, "batch n"]
    kernel: Float[Array, "batch n n"]
    decay: Float[Array, "batch n"]


class Perturbed(NamedTuple):
    """A noisy copy of the network, what each layer's kernel makes of it, and keys to draw from."""

    state: State
    guesses: tuple[Guess, ...]
    key: Key[Array, " batch"]


class Kernel(AbstractSignal):
    r"""Symmetric signal through a kernel, $L_i=\sum_kc_kA_{ki}$; A and $\lambda$ learn from noise.

    A noisy copy of the network, currents $I+\sigma\xi$, deviates by $\tilde z-z$; the kernel should
    have told:

    $\Omega_i\leftarrow\lambda_i\Omega_i+\tfrac{\partial z_i}{\partial I_i}\xi_i,\qquad
    E=\tfrac12\big\|A\,\Omega-(\tilde z-z)/\sigma\big\|^2$   (1)

    descended in A and in the logit of $\lambda$, with the rate of the weights. The copy starts with
    the stream. Starts as RFLO: $A=1$, $\lambda$ = `decay`. Memory O(batch n^2), time that of one
    more step of the network and O(batch n^2).
    """

    adapts: ClassVar[bool] = True
    remembers: ClassVar[bool] = True
    decay: float = setting(0.9)
    noise: float = adjustable(
        0.01, "the noise that the kernel learns from", "input current", closed=False
    )

    def check(self, network: Network) -> None:
        """Refuse a decay or a noise that cannot be."""
        if not (0 < self.decay < 1 and self.noise > 0):
            raise ValueError(
                f"Kernel needs 0 < decay < 1 and noise > 0, got {self.decay} and {self.noise}. "
                "Give the decay of a trace over one step."
            )

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """A of every layer, then the logit of its decay, (n, 1)."""
        sizes = [layer.input.outputs for layer in network.layers]
        logit = jnp.log(self.decay / (1.0 - self.decay))
        decays = (jnp.full((n, 1), logit, dtype=float) for n in sizes)
        return (*(jnp.eye(n, dtype=float) for n in sizes), *decays)

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Perturbed:
        """The copy at rest, and nothing learned."""
        state = circuit.rest(batch)
        none = [jnp.zeros_like(stage.z) for stage in state[:-1]]
        guesses = (Guess(z, z, z[:, :, None] * z[:, None, :], z) for z in none)
        return Perturbed(state, tuple(guesses), jax.random.split(key, batch))

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Perturbed
    ) -> tuple[Signals, Perturbed]:
        """Equation (1), and the signal."""
        kernels, decays = _parts(feedback)
        later, now = jnp.moveaxis(jax.vmap(jax.random.split)(memory.key), 1, 0)
        drawn = tuple(_draw(now, index, gain) for index, gain in enumerate(heard.gains))
        added = jax.tree.map(lambda xi: self.noise * xi, (*drawn, {}))
        x = heard.moment.incoming[0]
        first = circuit.stages[0].feedforward(x)
        state = circuit.step(memory.state, x, first, added).after
        guesses = tuple(
            _guess(guess, (kernel, decay), _sum(gain, xi), (noisy.z - clean.z) / self.noise)
            for guess, kernel, decay, gain, xi, noisy, clean in zip(
                memory.guesses,
                kernels,
                decays,
                heard.gains,
                drawn,
                state[:-1],
                heard.moment.after[:-1],
                strict=True,
            )
        )
        direct: Any = Symmetric()(circuit, (), heard, ())[0]
        signals = tuple(c @ kernel for c, kernel in zip(direct, kernels, strict=True))
        return signals, Perturbed(state, guesses, later)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit, memory: Perturbed
    ) -> tuple[Circuit, Feedback, Perturbed]:
        """Gradients of A and of the decays, the mean over the batch."""
        taught = (
            *(jnp.mean(guess.kernel, axis=0) for guess in memory.guesses),
            *(jnp.mean(guess.decay, axis=0)[:, None] for guess in memory.guesses),
        )
        blank = tuple(
            guess._replace(kernel=jnp.zeros_like(guess.kernel), decay=jnp.zeros_like(guess.decay))
            for guess in memory.guesses
        )
        return gradient, taught, memory._replace(guesses=blank)


def _parts(feedback: Feedback) -> tuple[Feedback, list[Array]]:
    """A and the decay of every layer."""
    half = len(feedback) // 2
    return feedback[:half], [jax.nn.sigmoid(logit[:, 0]) for logit in feedback[half:]]


def _draw(keys: Key[Array, " batch"], index: int, gain: Ports) -> Ports:
    """Noise for every current of a layer, each sample from its own key."""

    def one(key: PRNGKeyArray) -> Ports:
        drawn = jax.random.split(jax.random.fold_in(key, index), len(gain))
        return {
            port: jax.random.normal(k, g.shape[1:], g.dtype)
            for k, (port, g) in zip(drawn, gain.items(), strict=True)
        }

    return jax.vmap(one)(keys)


def _sum(gain: Ports, noise: Ports) -> Float[Array, "batch n"]:
    parts = [gain[port] * noise[port] for port in gain]
    return sum(parts[1:], start=parts[0])


def _guess(guess: Guess, learned: tuple[Array, Array], now: Array, deviation: Array) -> Guess:
    """The noise one step on, and what the deviation teaches."""
    kernel, decay = learned
    slope = decay[None] * guess.slope + guess.noise
    noise = decay[None] * guess.noise + now
    wrong = noise @ kernel.T - deviation
    by_decay = (wrong @ kernel) * slope * (decay * (1.0 - decay))[None]
    by_kernel = wrong[:, :, None] * noise[:, None, :]
    return Guess(noise, slope, guess.kernel + by_kernel, guess.decay + by_decay)
