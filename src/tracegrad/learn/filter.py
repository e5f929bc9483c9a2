"""Filters: what a trace passes through before it meets the learning signal.

A filter is a linear state behind each neuron's output, $q^t=\\lambda q^{t-1}+g z^t$ (a tap). The
trace of a tap is the filtered eligibility trace, so filtering needs no code of its own.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from tracegrad.model.li import LI
from tracegrad.model.network import Circuit, Network

OUTPUT = "z"
RATE = "rate"  # the running sum that the rate regulariser reads


class Tap(NamedTuple):
    r"""A linear filter of a neuron's output, $q^t=\lambda q^{t-1}+g z^t$."""

    decay: Float[Array, ""]
    gain: Float[Array, ""] | float


Taps = dict[str, Tap]


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
    r"""The readout's own leak: $\bar e^t=\kappa\bar e^{t-1}+(1-\kappa)e^t$.

    Makes a leaky readout exact for the layers it reads, because it reads back nothing; for layers
    below it stands for the leak downstream. One more trace per synapse. For a memoryless readout
    it is `NoFilter`. Source: Bellec et al. 2020.
    """

    def check(self, network: Network) -> None:
        """Refuse a readout with several time constants: one trace cannot serve them all."""
        neuron = network.readout.neuron
        if isinstance(neuron, LI) and neuron.tau_mem.log.shape != ():
            raise ValueError(
                "The kappa filter needs one readout time constant, got "
                f"{neuron.tau_mem.log.shape[0]}. Give Readout one tau, or use rtrl() or bptt()."
            )

    def taps(self, circuit: Circuit) -> Taps:
        """One tap with the readout's decay and gain."""
        readout = circuit.stages[-1]
        if not isinstance(readout.neuron, LI):
            return {}
        one = {name: value[0] for name, value in readout.coefficients.items()}
        return {"kappa": Tap(one["alpha"], readout.neuron.gain(one))}

    def meets(self, circuit: Circuit) -> str:
        """The tap, if the readout leaks."""
        return "kappa" if isinstance(circuit.stages[-1].neuron, LI) else OUTPUT

    def error(self, circuit: Circuit, error: Array, gain: Array) -> Array:
        """Unchanged where the tap already holds the readout's gain."""
        return error if self.meets(circuit) != OUTPUT else error * gain
