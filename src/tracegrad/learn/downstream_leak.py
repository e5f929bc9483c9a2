"""DownstreamLeak: a filter with the leak of the next stage, whatever the readout (OTPE)."""

from jaxtyping import Array

from tracegrad.learn.filter import AbstractFilter, Tap, Taps
from tracegrad.model.network import Circuit, Network


class DownstreamLeak(AbstractFilter):
    r"""$\hat R^t=\lambda\hat R^{t-1}+e^t$ with the one leak $\lambda$ of all layers.

    One more trace per synapse. Exact for a leaky readout of this leak, for the layers it reads.
    Source: Summe et al. 2023.
    """

    def check(self, network: Network) -> None:
        """The rule's needs say which networks have one leak."""

    def taps(self, circuit: Circuit) -> Taps:
        """One tap, with the leak of the first layer."""
        return {"downstream": Tap(circuit.stages[0].coefficients["alpha"][0], 1.0)}

    def meets(self, circuit: Circuit) -> str:
        """The tap."""
        return "downstream"

    def error(self, circuit: Circuit, error: Array, gain: Array) -> Array:
        """Through the readout's instantaneous gain."""
        return error * gain
