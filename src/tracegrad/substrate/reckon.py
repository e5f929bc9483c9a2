"""ReckOn's rule in whole numbers: traces of neurons, a signal, and weights that step by chance.

Draws are handed in, so the same function serves a shift register and a counter-based generator.
Every array is int32, draws are uint32.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed

WEIGHT, SIGNAL, TRACE = Fixed(8), Fixed(16), Fixed(12, signed=False)
POINT = 15  # bits behind the point of the decay


class Layer8(NamedTuple):
    """8-bit weights of a recurrent layer and its readout; row index postsynaptic."""

    weight: Int[Array, "n m"]
    recurrent: Int[Array, "n n"]
    readout: Int[Array, "o n"]


class Reckon(eqx.Module):
    r"""$w_{ji}\leftarrow w_{ji}+\mathrm{sign}(q_{ji})$ where $|q_{ji}|$, shifted right by `rate`,
    reaches a draw of 32 bits   (1)

    with $q_{ji}=L_j\,\psi_j\,\hat x_i$ of 32 bits; the weight stays where it would not fit. The
    signal is $L_j=\mathrm{sat}_{16}((\sum_k\delta_kW^{out}_{kj})\ll s\gg12)$, by the readout's own
    weights; $\psi_j$ is one of five `levels`, by how many of four `thresholds` the potential
    reaches; a trace gains $8\ll$ `trace_shift` with a spike, saturates at 12 bits and decays by
    `decay`/2^15, rounded by chance. One trace a neuron: no filter at the synapse.
    Source: ChFrenkel/ReckOn, doc/README.md and src/srnn.v; regularisation is left out.
    """

    decay: int = setting(31000)
    trace_shift: int = setting(4)
    signal_shift: int = setting(4)
    rate: int = setting(0)
    thresholds: tuple[int, int, int, int] = setting((-2000, -500, 500, 2000))
    levels: tuple[int, int, int, int, int] = setting((0, 5, 15, 5, 0))

    def __check_init__(self):
        """Refuse numbers that do not fit their registers."""
        if not 0 <= self.decay < 2 ** (POINT + 1) or list(self.thresholds) != sorted(
            self.thresholds
        ):
            raise ValueError(
                f"decay must fit 16 bits and the thresholds must rise, got decay={self.decay} and "
                f"thresholds={self.thresholds}."
            )
        if any(not -16 <= level <= 15 for level in self.levels):
            raise ValueError(f"levels must fit 5 bits, -16 to 15, got {self.levels}.")

    def trace(
        self, trace: Int[Array, " m"], spikes: Int[Array, " m"], drawn: UInt32[Array, " m"]
    ) -> Int[Array, " m"]:
        """Traces after a step; `drawn` has 15 bits.

        Rounds up where what is cut off reaches the draw, unless what is left is zero.
        """
        gained = TRACE.fit(trace + spikes * (8 << self.trace_shift))
        product = gained * self.decay
        whole, cut = product >> POINT, product & (2**POINT - 1)
        up = (cut >= drawn.astype(jnp.int32)) & (whole != 0)
        return TRACE.fit(whole + up.astype(jnp.int32))

    def signal(self, error: Int[Array, " o"], readout: Int[Array, "o n"]) -> Int[Array, " n"]:
        """The learning signal of every neuron, from errors of 16 bits."""
        summed = error @ readout
        return SIGNAL.fit((summed << self.signal_shift) >> 12)

    def slope(self, v: Int[Array, " n"]) -> Int[Array, " n"]:
        """The surrogate derivative, by the thresholds that a potential reaches."""
        reached = v[:, None] >= jnp.asarray(self.thresholds, jnp.int32)[None]
        return jnp.asarray(self.levels, jnp.int32)[jnp.sum(reached, axis=1)]

    def update(
        self,
        weight: Int[Array, "n m"],
        factor: Int[Array, " n"],
        trace: Int[Array, " m"],
        drawn: UInt32[Array, "n m"],
    ) -> Int[Array, "n m"]:
        """Equation (1); `factor` is signal times slope, or the error for the readout."""
        q = factor[:, None] * trace[None, :]
        size = jax.lax.shift_right_logical(jnp.abs(q).astype(jnp.uint32), jnp.uint32(self.rate))
        moved = weight + jnp.where(size >= drawn, jnp.sign(q), 0)
        fits = (moved >= WEIGHT.low) & (moved <= WEIGHT.high)
        return jnp.where(fits, moved, weight)

    def without_diagonal(self, recurrent: Int[Array, "n n"]) -> Int[Array, "n n"]:
        """Recurrent weights with those of a neuron to itself at zero."""
        return recurrent * (1 - jnp.eye(recurrent.shape[0], dtype=recurrent.dtype))
