"""LRU: linear recurrent unit, a complex leaky integrator."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, parameter, positive
from tracegrad.model.reset import AbstractReset, NoReset


class LRU(AbstractNeuron):
    r"""Linear recurrent unit: one complex memory, read as a real number.

    $x^t=\lambda x^{t-1}+\gamma\,(I_{re}^t+iI_{im}^t),\quad z^t=a\,\Re x^t+b\,\Im x^t$   (1)

    $\lambda=e^{-e^\nu+i\theta},\quad\nu=\log(\Delta t/\tau_{mem}),\ \theta=\omega\Delta t,\quad
    \gamma=\sqrt{1-|\lambda|^2}$   (2)

    as two reals, $x=$ `x_re` $+i$ `x_im`. $|\lambda|<1$ whatever is learned, because $\nu$ and
    $\log\theta$ are (the logarithms of `tau_mem` and `omega`). The two ports are the real and the
    imaginary part of the paper's input matrix $B$, the connection to the layer above and $a$, $b$
    are its $C$ with a phase for each unit. There is no recurrent connection: units do not see each
    other, and a single layer's `block_diagonal` is exact. A stack of LRU layers is linear; put
    nonlinear units (`Tanh`) between them. Ours: $\gamma$ follows $\lambda$ (the paper learns it
    from there), and there is no skip term $Dx$. `tau_mem` in seconds, `omega` in rad/s; units of a
    layer should differ: see `ring`. Source: Orvieto et al. 2023.
    """

    feedforward_ports: ClassVar[tuple[str, ...]] = ("re", "im")
    recurrent_ports: ClassVar[tuple[str, ...]] = ()
    tau_mem: Positive = positive(20e-3)
    omega: Positive = positive(75.0)
    read_re: Array = parameter(1.0)
    read_im: Array = parameter(0.0)
    reset: AbstractReset = NoReset()

    @classmethod
    def ring(
        cls,
        key: PRNGKeyArray,
        n: int,
        dt: float,
        radius: tuple[float, float] = (0.0, 0.999),
        phase: float = 2 * np.pi,
    ) -> "LRU":
        r"""`n` units with $\lambda$ uniform on a ring of the complex plane, for steps of `dt`.

        $|\lambda|^2$ is uniform between the squares of `radius`, $\theta$ between 0 and `phase`;
        $a$ and $b$ are drawn from $\mathcal N(0,1)$, one for each unit.
        Example: `LRU.ring(jax.random.key(0), 64, dt=1e-3, radius=(0.9, 0.999), phase=0.3)`.
        """
        if not 0.0 <= radius[0] < radius[1] < 1.0 or not phase > 0.0:
            raise ValueError(
                "radius must rise within 0 and 1 and phase must be positive, got radius="
                f"{radius}, phase={phase}. A radius of 1 never forgets."
            )
        keys = jax.random.split(key, 3)
        low, high = radius[0] ** 2, radius[1] ** 2
        share, turn = 1.0 - jax.random.uniform(keys[0], (2, n), dtype=float)  # in (0, 1]
        read = jax.random.normal(keys[1], (2, n), dtype=float)
        tau = -2.0 * dt / jnp.log(low + share * (high - low))
        return cls(
            tau_mem=Positive(tau),
            omega=Positive(phase * turn / dt),
            read_re=read[0],
            read_im=read[1],
        )

    def coefficients(self, dt: float) -> Scalars:
        r"""Real and imaginary part of $\lambda$, `gamma`, and the weights `a`, `b` of the read."""
        rate, theta = dt / self.tau_mem.value, dt * self.omega.value
        return {
            "re": jnp.exp(-rate) * jnp.cos(theta),
            "im": jnp.exp(-rate) * jnp.sin(theta),
            "gamma": jnp.sqrt(-jnp.expm1(-2.0 * rate)),
            "a": self.read_re,
            "b": self.read_im,
        }

    def init(self, c: Scalars) -> Scalars:
        """Memory at 0."""
        return {"x_re": 0.0 * c["re"], "x_im": 0.0 * c["re"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: dict[str, Array]) -> Scalars:
        """Equation (1)."""
        x, y = s["x_re"], s["x_im"]
        return {
            "x_re": c["re"] * x - c["im"] * y + c["gamma"] * current["re"],
            "x_im": c["im"] * x + c["re"] * y + c["gamma"] * current["im"],
        }

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The read of (1)."""
        return c["a"] * s["x_re"] + c["b"] * s["x_im"]
