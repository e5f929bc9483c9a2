"""cost: what a training step has to do at least, counted from the sizes and the spikes.

Operations are those of products (an add and a multiply count two; an event's add counts one);
bytes are what has to be read or written once, with float32 numbers: input, tapes, weights and the
optimiser's moments. What stays in registers or is computed again is not counted.
"""

from typing import NamedTuple

from tracegrad.bench.workload import Workload

NUMBER = 4  # bytes of a float32
ADAM, SGD = 2, 0  # moments of every weight


class Cost(NamedTuple):
    """Operations and bytes of a training step."""

    operations: float
    bytes: float


def dense(work: Workload, through_recurrence: bool) -> Cost:
    """Reverse mode with products: three forward, as many for the gradients, and the way back."""
    m, n, o = work.lines, work.hidden, work.classes
    forward = m * n + n * n + n * o
    back = n * o + (n * n if through_recurrence else 0)
    samples = work.steps * work.batch
    return Cost(2.0 * samples * (2 * forward + back), _offline_bytes(work))


def by_events(work: Workload, incoming: float, spikes: float) -> Cost:
    """The same over spikes alone: a row of weights each forward, a row of the gradient back.

    `incoming` and `spikes` are those of a step and sample (`workload.spikes`); the signal still
    comes as a product.
    """
    n, o = work.hidden, work.classes
    rows = 2 * (incoming * n + spikes * n + spikes * o)
    samples = work.steps * work.batch
    return Cost(samples * (rows + 2.0 * n * o), _offline_bytes(work))


def every_step(work: Workload, traces: int, moments: int) -> Cost:
    """An update at every step: traces, weights and moments are read and written each time.

    `traces` are the numbers carried for a synapse of the hidden layer.
    """
    m, n, o = work.lines, work.hidden, work.classes
    synapses, weights = (m + n) * n, (m + n + o) * n
    carried = traces * work.batch * synapses + (1 + moments) * weights
    read_and_written = 2.0 * NUMBER * carried
    operations = work.batch * (2.0 * weights + 2 * traces * synapses + 2 * synapses)
    return Cost(work.steps * operations, work.steps * read_and_written)


def _offline_bytes(work: Workload) -> float:
    """Input read twice, two tapes written and read, weights and Adam's moments changed."""
    m, n, o = work.lines, work.hidden, work.classes
    samples = work.steps * work.batch
    tapes = 2 * 2 * samples * n + 2 * samples * m
    return float(NUMBER * (tapes + 2 * (1 + ADAM) * (m + n + o) * n))
