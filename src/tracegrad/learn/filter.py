"""Filters: what a trace passes through before it meets the learning signal.

A filter is a linear state behind each neuron's output, $q^t=\\lambda q^{t-1}+g z^t$ (a tap), or a
chain of them. The trace of a tap is the filtered eligibility trace, so filtering needs no code of
its own.
"""

from abc import abstractmethod
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.network import Circuit, Network

OUTPUT = "z"
RATE = "rate"  # the running sum that the rate regulariser reads
T = TypeVar("T")


class Tap(NamedTuple):
    r"""A linear filter $q^t=\lambda q^{t-1}+g x^t$ of a neuron's output, or of a tap before it."""

    decay: Float[Array, ""] | float
    gain: Float[Array, ""] | float
    source: str = OUTPUT


Taps = dict[str, Tap]  # each tap after its source


def through(taps: Taps, before: dict[str, T], output: T) -> dict[str, T]:
    """Every tap one step on, for trees of arrays that stand for the output."""
    seen = {OUTPUT: output}
    for name, tap in taps.items():
        seen[name] = jax.tree.map(
            lambda q, x, tap=tap: tap.decay * q + tap.gain * x, before[name], seen[tap.source]
        )
    return {name: seen[name] for name in taps}


class AbstractFilter(eqx.Module):
    """What the learning signal meets: the output's trace, or the trace of a tap."""

    @abstractmethod
    def check(self, network: Network) -> None:
        """Refuse a network this filter cannot serve."""

    @abstractmethod
    def taps(self, circuit: Circuit) -> Taps:
        """The taps of every hidden layer."""

    @abstractmethod
    def meets(self, circuit: Circuit) -> str:
        """Name of the tap that the signal meets (`OUTPUT`: none)."""

    @abstractmethod
    def error(
        self, circuit: Circuit, error: Float[Array, "batch o"], gain: Float[Array, "batch o"]
    ) -> Float[Array, "batch o"]:
        r"""Error the signal carries, from $\delta=\partial L/\partial y$ and the readout's gain."""


class NoFilter(AbstractFilter):
    r"""No filter: the signal is the instantaneous $\partial L^t/\partial z^t$.

    Exact for a memoryless readout; of a leaky one it sees only the present step.
    """

    def check(self, network: Network) -> None:
        """Serves every network."""

    def taps(self, circuit: Circuit) -> Taps:
        """None."""
        return {}

    def meets(self, circuit: Circuit) -> str:
        """The output itself."""
        return OUTPUT

    def error(self, circuit: Circuit, error: Array, gain: Array) -> Array:
        """Through the readout's instantaneous gain."""
        return error * gain


class Kappa(AbstractFilter):
    r"""The readout's own dynamics, of a leaky one $\bar e^t=\kappa\bar e^{t-1}+(1-\kappa)e^t$.

    Makes a readout with memory exact for the layers it reads, because it is linear and reads back
    nothing; for layers below it stands for the memory downstream. The readout's cascade becomes a
    chain of taps: one more trace per synapse for each of its states (the double exponential has
    two, an integrator one). For a memoryless readout it is `NoFilter`. Source: Bellec et al. 2020;
    the double exponential: Zenke & Ganguli 2018.
    """

    def check(self, network: Network) -> None:
        """Refuse a readout with several time constants: one trace cannot serve them all."""
        coefficients = network.readout.neuron.coefficients(network.dt).values()
        several = [c.shape[0] for c in coefficients if c.shape != ()]
        if several:
            raise ValueError(
                f"The kappa filter needs one readout time constant, got {several[0]}. "
                "Give Readout one tau, or use rtrl() or bptt()."
            )

    def taps(self, circuit: Circuit) -> Taps:
        """The readout's cascade as a chain."""
        chain, source = {}, OUTPUT
        for index, (decay, gain) in enumerate(_cascade(circuit), start=1):
            chain[f"kappa{index}"] = Tap(decay, gain, source)
            source = f"kappa{index}"
        return chain

    def meets(self, circuit: Circuit) -> str:
        """The last tap, if the readout has a memory."""
        length = len(_cascade(circuit))
        return f"kappa{length}" if length else OUTPUT

    def error(self, circuit: Circuit, error: Array, gain: Array) -> Array:
        """Unchanged where the taps already hold the readout's gain."""
        return error if self.meets(circuit) != OUTPUT else error * gain


def _cascade(circuit: Circuit) -> Cascade:
    """The dynamics of the readout, for its first unit and so for all."""
    readout = circuit.stages[-1]
    assert isinstance(readout.neuron, AbstractLinear)  # the type of a readout's neuron
    return readout.neuron.cascade({name: value[0] for name, value in readout.coefficients.items()})
