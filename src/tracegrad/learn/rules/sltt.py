"""sltt: spatial learning through time, with no temporal memory; at all steps or at K of T."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.instant import Instant
from tracegrad.learn.influences.sampled import Sampled
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def sltt(
    signal: AbstractSignal | None = None, steps: int | None = None, of: int | None = None
) -> Rule:
    r"""Spatial gradient of each step: $\nabla W=\sum_t (g^t\odot\psi^t)\otimes x^t$.

    $g^t$ is the signal of the present step. A neuron whose current does not reach its output within
    the step cannot learn by it, and is refused. Memory O(batch (m + n)), time O(batch p) a step.
    Exact where nothing has a memory.

    With `steps` and `of` it is SLTT-K: of every T = `of` steps (a sequence) K = `steps`, drawn at
    random for the whole batch, have a gradient, and it counts T/K times, so that its mean is that
    of all steps; the source does not scale, and leaves it to the learning rate. The O(batch p) of a
    step are then spent at K steps. Source: Meng et al. 2023; SLTT-K: its public code.

    Keeps: what a weight does within the step.
    Drops: all that a neuron or the readout remembers.
    """
    if (steps is None) != (of is None):
        raise ValueError(
            f"SLTT-K needs both steps and of, got steps={steps} and of={of}. Give the length of a "
            "sequence as `of`, or neither."
        )
    every = Instant()
    return Rule(
        "sltt",
        "spatial gradient of each step, no memory of the past",
        every if steps is None or of is None else Sampled(every, steps, of),
        NoFilter(),
        signal or Symmetric(),
    )
