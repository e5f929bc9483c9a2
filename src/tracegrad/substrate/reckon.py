"""ReckOn's rule in whole numbers: traces of neurons, a signal, and weights that step by chance.

Draws are handed in, so the same function serves a shift register and a counter-based generator.
Every array is int32, draws are uint32.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed

WEIGHT, SIGNAL = Fixed(8), Fixed(16)
TRACE, READOUT_TRACE = Fixed(12, signed=False), Fixed(10, signed=False)
POINT, READOUT_POINT = 15, 7  # bits behind the point of the decays
DRAW, READOUT_DRAW = 32, 28  # bits of the draws that weights move by
ONE = 2048  # the output of a class that is sure, and its target


class Layer8(NamedTuple):
    """8-bit weights of a recurrent layer and its readout; row index postsynaptic."""

    weight: Int[Array, "n m"]
    recurrent: Int[Array, "n n"]
    readout: Int[Array, "o n"]


class Reckon(eqx.Module):
    r"""$w_{ji}\leftarrow w_{ji}+\mathrm{sign}(q_{ji})$ where $|q_{ji}|$, shifted left by `boost`
    in 32 bits, saturating, then right by `rate`, reaches a draw of 32 bits; of the readout
    by `readout_boost`, and in 28 bits   (1)

    with $q_{ji}=L_j\,\psi_j\,(\hat x_i\gg$ `trace_shift`$)$ of 32 bits; the weight stays where it
    would not fit. The signal is $L_j=\mathrm{sat}_{16}((\sum_k\delta_kW^{out}_{kj})\ll s\gg12)$, by
    the readout's own weights; $\psi_j$ is one of five `levels`, by how many of four `thresholds`
    the potential reaches; a trace gains $8\ll$ `trace_shift` with a spike, saturates at 12 bits and
    decays by `decay`/2^15, rounded by chance. One trace a neuron: no filter at the synapse. Those
    that the readout meets gain $2\ll$ `trace_shift`, saturate at 10 bits and decay by `kappa`/2^7.
    `trace_shift` is the place of a trace's radix point: decays keep the bits behind it, products
    do not see them. The chip has a place for each of its three kinds of traces, here it is one.
    Source: ChFrenkel/ReckOn, commit 5e5c0be, doc/README.md and src/srnn.v, where the places are
    SPI_FP_LOC_TINP, _TREC and _TOUT, and `trace_inp_eprop`, `trace_rec_eprop` and `trace_out_eprop`
    what products see; regularisation is left out.
    """

    decay: int = setting(31000)
    kappa: int = setting(121)
    trace_shift: int = setting(4)
    signal_shift: int = setting(4)
    output_shift: int = setting(0)
    rate: int = setting(0)
    boost: int = setting(0)
    readout_boost: int = setting(0)
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
        if not 0 <= self.kappa < 2 ** (READOUT_POINT + 1):
            raise ValueError(f"kappa must fit 8 bits, 0 to 255, got {self.kappa}.")
        shifts = (self.rate, self.boost, self.readout_boost)
        if any(not 0 <= shift < 32 for shift in shifts):
            raise ValueError(
                f"rate, boost and readout_boost must fit 5 bits, 0 to 31, got {shifts}."
            )
        for name in ("trace_shift", "output_shift"):
            if not 0 <= getattr(self, name) < 8:
                raise ValueError(f"{name} must fit 3 bits, 0 to 7, got {getattr(self, name)}.")
        if any(not -16 <= level <= 15 for level in self.levels):
            raise ValueError(f"levels must fit 5 bits, -16 to 15, got {self.levels}.")

    def trace(
        self, trace: Int[Array, " m"], spikes: Int[Array, " m"], drawn: UInt32[Array, " m"]
    ) -> Int[Array, " m"]:
        """Traces after a step; `drawn` has 15 bits."""
        gained = TRACE.fit(trace + spikes * (8 << self.trace_shift))
        return _decayed(gained, self.decay, POINT, drawn, TRACE)

    def readout_trace(
        self, trace: Int[Array, " n"], spikes: Int[Array, " n"], drawn: UInt32[Array, " n"]
    ) -> Int[Array, " n"]:
        """The traces that the readout meets after a step; `drawn` has 7 bits."""
        gained = READOUT_TRACE.fit(trace + spikes * (2 << self.trace_shift))
        return _decayed(gained, self.kappa, READOUT_POINT, drawn, READOUT_TRACE)

    def error(self, output: Int[Array, " o"], target: Int[Array, " o"]) -> Int[Array, " o"]:
        """Target, 0 or 2048, less the hard sigmoid of outputs shifted left by `output_shift`.

        It reaches 2048 at 2048 and 0 at -2048.
        """
        shifted = output << self.output_shift
        return target - (jnp.clip(shifted + ONE, 0, 2 * ONE) >> 1)

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
        """Equation (1); `factor` is signal times slope, `drawn` has 32 bits."""
        q = self._product(factor, trace)
        return _moved(weight, q, _boosted(q, self.boost, DRAW) >> jnp.uint32(self.rate), drawn)

    def readout_update(
        self,
        weight: Int[Array, "o n"],
        error: Int[Array, " o"],
        trace: Int[Array, " n"],
        drawn: UInt32[Array, "o n"],
    ) -> Int[Array, "o n"]:
        """Equation (1) of the readout; `drawn` has 28 bits."""
        q = self._product(error, trace)
        size = _boosted(q, self.readout_boost, READOUT_DRAW) >> jnp.uint32(self.rate)
        return _moved(weight, q, size, drawn)

    def _product(self, factor: Int[Array, " n"], trace: Int[Array, " m"]) -> Int[Array, "n m"]:
        return factor[:, None] * (trace >> self.trace_shift)[None, :]

    def without_diagonal(self, recurrent: Int[Array, "n n"]) -> Int[Array, "n n"]:
        """Recurrent weights with those of a neuron to itself at zero."""
        return recurrent * (1 - jnp.eye(recurrent.shape[0], dtype=recurrent.dtype))


def _boosted(q: Int[Array, "n m"], by: int, bits: int) -> UInt32[Array, "n m"]:
    """The size of a product shifted left, or all ones where that is more than `bits` bits."""
    size, most = jnp.abs(q).astype(jnp.uint32), jnp.uint32(2**bits - 1)
    return jnp.where(size > (most >> jnp.uint32(by)), most, size << jnp.uint32(by))


def _moved(
    weight: Int[Array, "n m"],
    q: Int[Array, "n m"],
    size: UInt32[Array, "n m"],
    drawn: UInt32[Array, "n m"],
) -> Int[Array, "n m"]:
    moved = weight + jnp.where(size >= drawn, jnp.sign(q), 0)
    fits = (moved >= WEIGHT.low) & (moved <= WEIGHT.high)
    return jnp.where(fits, moved, weight)


def _decayed(
    gained: Int[Array, " m"], decay: int, point: int, drawn: UInt32[Array, " m"], kept: Fixed
) -> Int[Array, " m"]:
    """Rounded up where what is cut off reaches the draw, unless what is left is zero.

    A decay of exactly one does not round; one above it wraps.
    """
    product = gained * decay
    whole, cut = (product >> point) & kept.high, product & (2**point - 1)
    up = (cut >= drawn.astype(jnp.int32)) & (whole != 0) & (decay != 2**point)
    return (whole + up.astype(jnp.int32)) & kept.high
