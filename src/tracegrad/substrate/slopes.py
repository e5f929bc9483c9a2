"""Slopes: the surrogate derivative as a substrate has it, a short table of whole numbers."""

from dataclasses import fields, replace
from typing import Any

from jaxtyping import Array, Float

from tracegrad.model.neuron import AbstractNeuron
from tracegrad.model.parameter import setting
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike
from tracegrad.substrate.number import Number


class HeldSurrogate(AbstractSurrogate):
    r"""$\psi_{held}(x)=\mathrm{hold}(\psi(\mathrm{hold}(x)))$: both ends in one format   (1)

    The spike itself sees the distance to threshold as it is. A device needs one table entry for
    each held distance at which the held slope is not zero.
    """

    surrogate: AbstractSurrogate = setting(SuperSpike())
    number: Number = setting(Number())

    def derivative(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Equation (1)."""
        return self.number(self.surrogate.derivative(self.number(x)))


def with_held_slopes(neuron: AbstractNeuron, number: Number) -> AbstractNeuron:
    """The neuron with its surrogate derivative in a format; one that has none stays as it is."""
    made: Any = neuron  # the field is the neuron's own
    if "surrogate" not in {field.name for field in fields(made)}:
        return neuron
    return replace(made, surrogate=HeldSurrogate(made.surrogate, number))
