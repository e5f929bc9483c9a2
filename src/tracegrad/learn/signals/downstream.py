"""Downstream: spatial reverse mode through the recent past of the layers above (OTPE)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.local import Rows
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals, Symmetric
from tracegrad.model.network import Circuit, Network
from tracegrad.model.neuron import CURRENT


class Past(NamedTuple):
    """The running weight $\rho$ (batch,), and each layer's averaged gain (batch, n)."""

    weight: Float[Array, " batch"]
    gains: tuple[Rows, ...]


class Downstream(AbstractSignal):
    r"""The symmetric signal with the average of recent gains in place of the present one.

    $\rho^t=\lambda\rho^{t-1}+1,\quad \bar g^t=\frac{\lambda\rho^{t-1}}{\rho^t}\bar g^{t-1}
    +\frac{1}{\rho^t}\psi^t,\quad L^l=W^{l+1\top}(L^{l+1}\odot\bar g^{l+1})$   (1)

    with $\lambda$ the leak of the layers, so that $\bar g$ is the mean of past $\psi$ weighted by
    $\lambda^{t-s}$. Needs weight transport. O(batch p) a step. Source: Summe et al. 2023 (OTPE).
    """

    adapts: ClassVar[bool] = False
    remembers: ClassVar[bool] = True

    def check(self, network: Network) -> None:
        """The rule's needs say which networks have one leak."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None."""
        return ()

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Past:
        """No past."""
        dtype = circuit.stages[0].dtype
        gains = tuple(
            {port: jnp.zeros((batch, stage.size), dtype) for port in stage.weight}
            for stage in circuit.hidden
        )
        return Past(jnp.zeros((batch,), dtype), gains)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Past
    ) -> tuple[Signals, Any]:
        """Equation (1)."""
        leak = circuit.stages[0].coefficients["alpha"][0]
        weight = leak * memory.weight + 1.0
        kept = (leak * memory.weight / weight)[:, None]
        gains: tuple[Rows, ...] = jax.tree.map(
            lambda old, new: kept * old + (1.0 - kept) * new,
            memory.gains,
            tuple({CURRENT: gain[CURRENT]} for gain in heard.gains),
        )
        signals, _ = Symmetric()(circuit, feedback, heard._replace(gains=gains), ())
        return signals, Past(weight, gains)
