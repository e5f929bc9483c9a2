"""osttp: online spatio-temporal learning with target projection."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signals.target import Target


def osttp() -> Rule:
    r"""OSTTP: $\Delta W^l=-\eta\sum_t(B^ly^{*t})_i\,e^{l,t}_{ij}$ with the traces of OSTL.

    $e=\frac{dz}{ds}\epsilon,\ \epsilon\leftarrow\mathrm{own}\,\epsilon+F$, without the term of the
    recurrent weights ("without H"). The signal is the target itself through fixed random weights,
    so no layer waits for another and no error is fed back. Memory O(batch k p), time O(batch k^2 p)
    a step. No approximation of a gradient: the readout alone follows the loss. Source: Ortner, Pes,
    Gentinetta, Frenkel & Pantazi 2023.

    Keeps: a neuron's own memory and its reset path.
    Drops: all explicit recurrence; the error, in whose place is the target.
    """
    return Rule(
        "osttp",
        "own memory with the reset path, and the target through fixed random weights",
        Block(self_weight=False, reset=True),
        NoFilter(),
        Target(),
    )
