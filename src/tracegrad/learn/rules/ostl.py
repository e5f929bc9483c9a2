"""ostl: Online Spatio-Temporal Learning, time within layers and space between them."""

from tracegrad.learn.filter import AbstractFilter, NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.masked import Masked
from tracegrad.learn.influences.pattern import ByLayer
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def ostl(
    recurrence: bool = True,
    filter: AbstractFilter | None = None,
    signal: AbstractSignal | None = None,
) -> Rule:
    r"""Temporal gradient of each layer by itself, spatial gradient through the stack.

    $e^{t}=\frac{\partial z}{\partial h}\epsilon^{t},\quad\epsilon^{t}=H\epsilon^{t-1}+F^t,\quad
    dL/dw=\sum_tL^te^t$   (1)

    `recurrence=True` keeps the whole of a layer's $H$ (memory O(batch n k p), time O(batch n^2 k p)
    a step); `recurrence=False` drops the recurrent weights, self-weight included, and is the
    diagonal: O(batch k p), and O(batch k^2 p). With a memoryless readout, or with `filter=Kappa()`,
    one recurrent layer with $H$ equals BPTT. Source: Bohnstingl et al. 2022.

    Keeps: a layer's own memory, its recurrent weights included.
    Drops: what layers above and the readout remember.
    """
    kept = Masked(ByLayer()) if recurrence else Block(self_weight=False, reset=True)
    return Rule(
        "ostl",
        "full RTRL within each layer, spatial credit between layers",
        kept,
        filter or NoFilter(),
        signal or Symmetric(),
    )
