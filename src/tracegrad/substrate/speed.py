"""Speed: steps per second that a platform's cited rate or times imply, against those of the input.

Three kinds of numbers may be there: a rate of steps with learning; how much faster than the
network's own time an emulation runs, which says nothing of the processor that learns beside it; and
the times of a step without spikes, of a synaptic operation and of a change of a weight.
"""

from typing import NamedTuple

from tracegrad.substrate.check import UNKNOWN, Check
from tracegrad.substrate.demand import Demand
from tracegrad.substrate.presets import Limit, Limits, Preset

WHAT = "steps per second"


class Work(NamedTuple):
    """What is done in a step: synaptic operations, and changes of weights."""

    synaptic_operations: float
    weight_updates: float


def seconds(limits: Limits, work: Work) -> float | None:
    """A step's time, all one after the other; None where a time is missing of what is done."""
    parts = (
        (1.0, limits.nanoseconds_per_step),
        (work.synaptic_operations, limits.nanoseconds_per_synaptic_operation),
        (work.weight_updates, limits.nanoseconds_per_weight_update),
    )
    times = [0.0 if not n else None if each is None else n * each.value for n, each in parts]
    return None if None in times else 1e-9 * sum(time for time in times if time is not None)


def speed(demand: Demand, preset: Preset) -> Check:
    """Steps a second to keep up with the input against those that numbers of the platform imply.

    Times are added up, as if all were done one after the other: with every line active and every
    weight changed at each step, which is as slow as it gets, and without any spike, which is as
    fast. In between it depends on data, for which see `tracegrad cost`.
    """
    limits, needed = preset.limits, 1.0 / demand.dt
    told, cited, faster = f"{needed:,.0f}", limits.steps_per_second, limits.acceleration
    if cited is not None:
        return Check(WHAT, told, f"{cited.value:,.0f}", needed <= cited.value, cited.source)
    if faster is not None:
        there = f"{faster.value * needed:,.0f} without learning, with it unknown"
        return Check(WHAT, told, there, None if faster.value >= 1 else False, faster.source)
    idle, busy = seconds(limits, Work(0, 0)), Work(demand.synapses, demand.synapses)
    if idle is None:
        return Check(WHAT, told, UNKNOWN, None, "")
    source = ", ".join(dict.fromkeys(each.source for each in _times(limits)))
    most, longest = 1 / idle, seconds(limits, busy)
    if longest is None:
        there, enough = f"at most {most:,.0f}", None
    else:
        there = f"{1 / longest:,.0f} to {most:,.0f}, as spikes are many or none"
        enough = True if needed <= 1 / longest else None
    return Check(WHAT, told, there, False if needed > most else enough, source)


def _times(limits: Limits) -> list[Limit]:
    every = (
        limits.nanoseconds_per_step,
        limits.nanoseconds_per_synaptic_operation,
        limits.nanoseconds_per_weight_update,
    )
    return [each for each in every if each is not None]
