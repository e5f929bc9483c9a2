"""workload: one recurrent layer of current-based LIF neurons, its input and its weights.

Input spikes are Bernoulli, the target is one class a sequence, the loss cross-entropy at every
step, everything float32. tracegrad, every reference and every peer get the same arrays.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from tracegrad.model import LI, CubaLIF, Dense, Layer, Network, Positive, Readout, SuperSpike

TAU_SYN, TAU_MEM, TAU_READOUT, DT = 5e-3, 10e-3, 20e-3, 1e-3
ALPHA, BETA, KAPPA = (float(np.exp(-DT / tau)) for tau in (TAU_SYN, TAU_MEM, TAU_READOUT))
SLOPE, DENSITY = 25.0, 0.02
LEARNING_RATE = 1e-9  # the work of an update, but spikes stay as dense as they are at the start


class Workload(NamedTuple):
    """Sizes: input lines, hidden neurons, classes, time steps, sequences; scale of the weights.

    At scale 1 about 7 % of the hidden neurons spike in a step, at 0.85 about 3 %. `every` is the
    steps between two updates; None: one after the sequence.
    """

    lines: int
    hidden: int
    classes: int
    steps: int
    batch: int
    scale: float = 1.0
    every: int | None = None


WORKLOADS = {
    "W1": Workload(700, 256, 20, 100, 32),
    "W1 at 3 %": Workload(700, 256, 20, 100, 32, scale=0.85),
    "W1K10": Workload(700, 256, 20, 100, 32, every=10),
    "W1T1600": Workload(700, 256, 20, 1600, 32),
    "W2": Workload(700, 1024, 20, 250, 32),
    "W2 at 3 %": Workload(700, 1024, 20, 250, 32, scale=0.85),
    "W3": Workload(700, 256, 20, 1000, 1, every=1),
    "RTRL": Workload(32, 64, 20, 100, 8),
}


class Given(NamedTuple):
    """Input (T, B, m), class of every sequence (B,), and weights (from, to) of the three parts."""

    xs: np.ndarray
    classes: np.ndarray
    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray


def given(work: Workload, density: float = DENSITY) -> Given:
    """The arrays of a workload, the same in every process.

    `density` is the share of inputs that spike. The input weights are scaled by its root against
    `DENSITY` and that of the lines against 700, so that the hidden neurons spike about as much.
    """
    rng = np.random.default_rng(1234)
    shape = (work.steps, work.batch, work.lines)
    xs = (rng.random(shape, dtype=np.float32) < density).astype(np.float32)
    classes = rng.integers(0, work.classes, work.batch)
    rng = np.random.default_rng(7)

    def draw(rows: int, columns: int, scale: float) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * scale).astype(np.float32)

    n = work.hidden
    level = (DENSITY / density * 700 / work.lines) ** 0.5
    return Given(
        xs,
        classes,
        draw(work.lines, n, 0.025 * work.scale * level),
        draw(n, n, 0.3 * work.scale / n**0.5),
        draw(n, work.classes, 0.2 / n**0.5),
    )


def network(work: Workload, arrays: Given) -> Network:
    """The same network in tracegrad; neuron parameters are frozen, as in the peers."""
    neuron = CubaLIF(
        tau_mem=Positive(TAU_MEM),
        tau_syn=Positive(TAU_SYN),
        surrogate=SuperSpike(SLOPE),
        normalised=False,
    )

    def dense(weight: np.ndarray) -> Dense:
        return Dense.from_arrays(jnp.asarray(weight.T))

    layer = Layer(dense(arrays.w_in), neuron, recurrent=dense(arrays.w_rec))
    units = LI(tau_mem=Positive(TAU_READOUT), normalised=False)
    readout = Readout.of(units, work.hidden, work.classes)
    readout = eqx.tree_at(lambda r: r.input, readout, dense(arrays.w_out))
    return Network(layer, readout=readout, dt=DT).freeze("*.neuron.*")


def spikes(work: Workload, arrays: Given) -> tuple[float, float]:
    """Spikes of the input and of the hidden neurons, counted in NumPy: means a step and sample."""
    i = v = z = np.zeros((work.batch, work.hidden), np.float32)
    total = 0.0
    for x in arrays.xs:
        i = ALPHA * i + x @ arrays.w_in + z @ arrays.w_rec
        v = BETA * v + i - z
        z = (v > 1.0).astype(np.float32)
        total += float(z.sum())
    each = work.steps * work.batch
    return float(arrays.xs.sum()) / each, total / each
