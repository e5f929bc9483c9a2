"""fptt: Forward Propagation Through Time, one-step gradients held together by a regulariser."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.graph import Graph
from tracegrad.learn.optimiser import Dynamic
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def fptt(alpha: float = 0.5) -> Rule:
    r"""Descend $\ell_t(w)+\frac\alpha2\|w-\bar w_t-\frac1{2\alpha}\nabla\ell_{t-1}\|^2$ every step.

    $\nabla\ell_t$ is the gradient of one step with all state before it constant. The pull towards
    the running mean $\bar w$ of the weights, of strength `alpha`, stands for the memory that is
    dropped; it belongs to the optimiser, which the rule wraps around the one given to the learner
    (see `learn.optimiser.Dynamic`). Meant for `update_every=1`. Memory of one step, and two copies
    of the weights; time O(batch p) a step. Source: Kag & Saligrama 2021.

    Keeps: what a weight does within the step.
    Drops: all memory, for which a pull towards the mean of past weights stands.
    """
    return Rule(
        "fptt",
        "one-step gradients, with a pull towards the running mean of the weights",
        Graph(window=1),
        NoFilter(),
        ThroughReadout(),
        around=Dynamic(alpha),
    )
