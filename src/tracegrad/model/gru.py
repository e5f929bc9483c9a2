"""GRU: gated recurrent unit, a cell with a reset and an update gate."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.gate import gate
from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import parameter
from tracegrad.model.reset import AbstractReset, NoReset


class GRU(AbstractNeuron):
    r"""Gated recurrent unit, with the reset gate after the recurrent product.

    $r^t=\sigma(I_r^t),\quad u^t=\sigma(I_u^t),\quad n^t=\tanh(I_n^t+r^t(I_m^t+b_m))$   (1)

    $h^t=(1-u^t)\,n^t+u^t h^{t-1},\quad z^t=h^t$   (2)

    The feed-forward connection drives the ports $r,u,n$ and the recurrent one $r,u,m$: for
    $I_r=W_rx+V_rh$, $I_u=W_ux+V_uh$, $I_n=W_nx$, $I_m=V_mh$ it is the cell of cuDNN and PyTorch,
    whose biases are those of the input connection (`Dense(..., bias=True)`, one a port) and $b_m$,
    `candidate_bias`. Cho et al. 2014 reset before the product. What a rule calls the neuron's own
    memory is $u^t h^{t-1}$ in (2); the weights $V$ read the output. No time constant: $\Delta t$
    has no effect. Source: Cho et al. 2014.
    """

    feedforward_ports: ClassVar[tuple[str, ...]] = ("r", "u", "n")
    recurrent_ports: ClassVar[tuple[str, ...]] = ("r", "u", "m")
    candidate_bias: Array = parameter(0.0)
    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """The bias `b_m`."""
        return {"b_m": self.candidate_bias}

    def init(self, c: Scalars) -> Scalars:
        """Memory at 0."""
        return {"h": 0.0 * c["b_m"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: dict[str, Array]) -> Scalars:
        """Equations (1) and (2)."""
        r, u = gate(current["r"]), gate(current["u"])
        n = jnp.tanh(current["n"] + r * (current["m"] + c["b_m"]))
        return {"h": (1.0 - u) * n + u * s["h"]}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The memory."""
        return s["h"]
