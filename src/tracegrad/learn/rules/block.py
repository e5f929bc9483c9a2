"""block: the locality dial, from one block a neuron to one block of all."""

from collections.abc import Sequence

from tracegrad.learn.filter import AbstractFilter, Kappa
from tracegrad.learn.influences.masked import Leaving, Masked
from tracegrad.learn.influences.pattern import AbstractPattern, Consecutive, Labelled
from tracegrad.learn.rule import Rule


def block(groups: int | Sequence[Sequence[int]] = 1, filter: AbstractFilter | None = None) -> Rule:
    r"""RTRL within groups of units: keeps $G_{ab}$ if and only if $a$ and $b$ share a label.

    `groups` is one sequence of labels for each layer and one for the readout, of any grouping,
    across layers too; or the number of neurons of a layer in a row that make a group. Groups of
    one neuron are `block_diagonal()`, one group of all units is `rtrl()`, groups by layer are
    `ostl(filter=Kappa())`.

    For the readout's leak stands the filter (kappa unless given). The whole influence matrix is
    allocated: memory O(batch n k p), time O(batch n^2 k p) a step; a device needs g entries of it a
    weight, for groups of g. Source: Zenke & Neftci 2021, between its ends.

    Keeps: paths inside the group of a weight, and paths of this step out of it.
    Drops: paths that leave the group and go on in time.
    """
    pattern: AbstractPattern
    if isinstance(groups, int):
        pattern = Consecutive(groups)
    else:
        pattern = Labelled(tuple(tuple(int(label) for label in stage) for stage in groups))
    return Rule(
        "block",
        "RTRL within groups of neurons, from one neuron (the default) to all",
        Masked(pattern),
        filter or Kappa(),
        Leaving(pattern),
    )
