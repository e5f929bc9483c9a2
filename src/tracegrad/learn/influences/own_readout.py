"""Own readout: the exact trace of the readout's own parameters, which feed nothing back.

A rule that estimates the influence of the hidden layers need not estimate this one: memory
O(batch n o) and time O(batch n o) a step, exact for every readout.
"""

import jax
from jaxtyping import Array, Float

from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import Block, Trace
from tracegrad.learn.local import Local
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.stage import Stage

_BLOCK = Block()


def _alone(circuit: Circuit) -> Circuit:
    return Circuit(circuit.stages[-1:])


def no_trace(circuit: Circuit, batch: int) -> Trace:
    """The trace at the start of a stream."""
    return _BLOCK.init(_alone(circuit), {}, batch, jax.random.key(0))[0]


def push_readout(
    circuit: Circuit, trace: Trace, moment: Moment, locals_: tuple[Local, ...]
) -> Trace:
    """The trace one step on."""
    last = Moment(moment.incoming[-1:], moment.current[-1:], moment.before[-1:], moment.after[-1:])
    return _BLOCK.push(_alone(circuit), {}, (trace,), last, locals_[-1:])[0]


def pull_readout(circuit: Circuit, trace: Trace, error: Float[Array, "batch o"]) -> Stage:
    """Gradient of the readout's own parameters."""
    return _BLOCK.pull(_alone(circuit), (trace,), ({OUTPUT: error},)).stages[0]
