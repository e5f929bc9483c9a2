"""forward_gradient: the loss's slope along a random direction, by forward differentiation."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.forward import Forward
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def forward_gradient() -> Rule:
    r"""The gradient projected on a random direction: $\hat g=(\nabla L\cdot v)\,v$.

    Unbiased for every network; the variance grows with the number of parameters, so it needs a
    small rate and many sequences. Every sample has a direction of its own, drawn when its stream
    starts: in a stream that never ends it never changes. Memory O(batch p), time O(batch p) a step.
    Source (from memory): Baydin et al. 2022, whose direction is Gaussian; signs have the least
    variance.

    Keeps: every path, along one random direction.
    Drops: all that is orthogonal to it.
    """
    return Rule(
        "forward_gradient",
        "slope along one random direction: unbiased, cheap, noisy",
        Forward(),
        NoFilter(),
        ThroughReadout(),
    )
