"""Explain: a rule for a network or a neuron, in equations."""

import jax
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.inspect.explanation import Explanation
from tracegrad.learn.rule import Rule
from tracegrad.model import AbstractNeuron, Dense, Layer, Network, Readout

INSTALL = "explain needs sympy, which is not installed: pip install 'tracegrad[explain]'."


def explain(subject: Network | AbstractNeuron, rule: Rule) -> Explanation:
    r"""The learning rule that `rule` makes of a network, or of one neuron, in equations.

    From the neuron's own code: its equations, what each trace is and how it decays, what it is
    filtered with, the signal, the weight change, and what the rule drops, marked as dropped,

    $\epsilon^t=\sum\mathrm{own}\,\epsilon^{t-1}+\mathrm{drive}\,x_j
    \;[\text{dropped: }\mathrm{echo}\,e^{t-1},\dots],\quad
    \Delta W_{ij}=-\eta\sum_t L_i^t\,\bar e_{ij}^t$   (1)

    A neuron with several currents has them, its weights and its traces by port. A neuron alone is
    put in a recurrent layer under a leaky readout. Takes about a second, needs
    `sympy` (the extra `explain`). `ValueError` if a neuron uses an operation that has no symbol.
    Example: `print(explain(CubaLIF(), rules.eprop()))`; `.latex()` and `.markdown()` are the other
    forms, `.layers` and `.traces` the equations as sympy expressions.
    """
    try:
        from tracegrad.inspect.equations import equations
    except ModuleNotFoundError as missing:
        if missing.name != "sympy":
            raise
        raise UsageError(INSTALL) from None
    network = subject if isinstance(subject, Network) else _alone(subject)
    rule.check(network)
    return equations(network, rule)


def _alone(neuron: AbstractNeuron) -> Network:
    """A layer, recurrent if it can be, of as many neurons as their parameters have entries."""
    n = max([1, *(int(np.size(leaf)) for leaf in jax.tree.leaves(neuron))])
    layer = Layer(Dense(n, n), neuron, recurrent=Dense(n, n) if neuron.recurrent_ports else None)
    return Network(layer, readout=Readout(n, n), dt=1e-3)
