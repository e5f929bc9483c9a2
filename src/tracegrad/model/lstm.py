"""LSTM: long short-term memory, a cell with an input, a forget and an output gate."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.gate import gate
from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import parameter
from tracegrad.model.reset import AbstractReset, NoReset


class LSTM(AbstractNeuron):
    r"""Long short-term memory with a forget gate, without peepholes.

    $i^t=\sigma(I_i^t),\ f^t=\sigma(I_f^t+b_f),\ g^t=\tanh(I_g^t),\ o^t=\sigma(I_o^t)$   (1)

    $c^t=f^t c^{t-1}+i^t g^t,\quad h^t=o^t\tanh(c^t),\quad z^t=h^t$   (2)

    Both connections drive the ports $i,f,g,o$; `Dense(..., bias=True)` gives each a bias, which
    starts at 0. The bias of the forget gate has a further part $b_f$, `forget_bias`, that belongs
    to the neuron: it starts at 1, so that a new cell remembers (Gers et al. 2000; Jozefowicz et al.
    2015), with a bias in the connection or without. States `cell` ($c$) and `h`. No time constant:
    $\Delta t$ has no effect. Source: Hochreiter & Schmidhuber 1997.
    """

    feedforward_ports: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    recurrent_ports: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    forget_bias: Array = parameter(1.0)
    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """The bias `b_f`."""
        return {"b_f": self.forget_bias}

    def init(self, c: Scalars) -> Scalars:
        """Cell and output at 0."""
        return {"cell": 0.0 * c["b_f"], "h": 0.0 * c["b_f"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: dict[str, Array]) -> Scalars:
        """Equations (1) and (2)."""
        forget = gate(current["f"] + c["b_f"])
        cell = forget * s["cell"] + gate(current["i"]) * jnp.tanh(current["g"])
        return {"cell": cell, "h": gate(current["o"]) * jnp.tanh(cell)}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The gated cell `h`."""
        return s["h"]
