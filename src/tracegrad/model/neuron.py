"""The contract of a neuron: written for ONE neuron, mapped by the library over layer and batch."""

from abc import abstractmethod
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from tracegrad.model.reset import AbstractReset

Scalars = dict[str, Float[Array, "*shape"]]
CURRENT = "current"  # the port of a neuron that has only one


class AbstractNeuron(eqx.Module):
    r"""One neuron: named scalar states `s`, a current $I$, an output $z$ (a spike or a rate).

    $s^{t}=\mathrm{step}(c, s^{t-1}, z^{t-1}, I^{t}),\quad z^{t}=\mathrm{output}(c, s^{t})$   (1)

    with the coefficients $c$ computed once from the parameters and the time step. Because a neuron
    sees only itself, its Jacobian is a block of its own. Declare parameters with `parameter` or
    `positive` (they learn), choices with `setting`; use parameters in `coefficients` only.

    A neuron with several currents (a gated cell, a dendrite beside a soma) names its ports: those
    that the feed-forward connection drives, and those that the recurrent one drives. Its `current`
    is then a dictionary of scalars by port, and each port has weights of its own.

    ```python
    class MyNeuron(tg.AbstractNeuron):
        tau_mem: tg.Positive = tg.positive(20e-3)
        reset: tg.AbstractReset = tg.SubtractReset()
        surrogate: tg.AbstractSurrogate = tg.SuperSpike()

        def coefficients(self, dt):
            return {"alpha": tg.decay(dt, self.tau_mem)}

        def init(self, c):
            return {"v": 0.0 * c["alpha"]}

        def step(self, c, s, z, current):
            return {"v": self.reset(c["alpha"] * s["v"] + current, z, 1.0)}

        def output(self, c, s):
            return self.surrogate(s["v"] - 1.0)
    ```
    """

    feedforward_ports: ClassVar[tuple[str, ...]] = (CURRENT,)
    recurrent_ports: ClassVar[tuple[str, ...]] = (CURRENT,)
    reset: eqx.AbstractVar[AbstractReset]

    @abstractmethod
    def coefficients(self, dt: float) -> Scalars:
        """Constants of one step of `dt` seconds; each of shape () or (n,), as its parameters."""

    @abstractmethod
    def init(self, c: Scalars) -> Scalars:
        """State of one neuron at rest."""

    @abstractmethod
    def step(self, c: Scalars, s: Scalars, z: Float[Array, ""], current: Any) -> Scalars:
        """State after one step; `z` is the neuron's own output of the step before.

        `current` is a scalar, or for a neuron of several ports a dictionary of scalars.
        """

    @abstractmethod
    def output(self, c: Scalars, s: Scalars) -> Float[Array, ""]:
        """Output (spike or rate) of a neuron in state `s`."""


def ports(neuron: AbstractNeuron) -> tuple[str, ...]:
    """The names of all currents of a neuron."""
    return tuple(dict.fromkeys((*neuron.feedforward_ports, *neuron.recurrent_ports)))


def seen_current(neuron: AbstractNeuron, currents: Scalars) -> Any:
    """The currents as the neuron's `step` takes them: a scalar where there is one port."""
    names = ports(neuron)
    return currents[names[0]] if len(names) == 1 else currents


def check_neuron(neuron: AbstractNeuron, dt: float) -> None:
    """Refuse a neuron that breaks the contract, at the place of the mistake.

    Raises `TypeError` for a field that could silently not learn (a plain number), and for states
    or outputs that are not scalars or that change names within a step.
    """
    name = type(neuron).__name__
    for path, leaf in jax.tree_util.tree_leaves_with_path(neuron):
        if not isinstance(leaf, jax.Array):
            field = jax.tree_util.keystr(path).lstrip(".")
            raise TypeError(
                f"{name}.{field} is a plain {type(leaf).__name__} and could not learn. "
                "Declare it with parameter(...) or positive(...); setting(...) if it is fixed."
            )
    c = jax.tree.map(lambda a: a.reshape(-1)[0], neuron.coefficients(dt))
    s = neuron.init(c)
    zero = jax.tree.leaves(c)[0] * 0 if c else jax.numpy.zeros(())
    current = seen_current(neuron, {port: zero for port in ports(neuron)})
    after, z = jax.eval_shape(
        lambda c, s, z, i: (neuron.step(c, s, z, i), neuron.output(c, s)), c, s, zero, current
    )
    if set(after) != set(s):
        raise TypeError(
            f"{name}.step must return the states {sorted(s)}, got {sorted(after)}. "
            "Return every state that init declares, and no other."
        )
    wrong = {k: v.shape for k, v in {**after, "output": z}.items() if v.shape != ()}
    if wrong:
        raise TypeError(
            f"{name} must be written for one neuron (scalars), got shapes {wrong}. "
            "Remove the layer or batch axis: the library maps the neuron."
        )
