"""The workloads of the speed benches: one recurrent layer of current-based LIF neurons.

Input spikes are Bernoulli, the target is one class a sequence, the loss cross-entropy at every
step, the optimiser Adam, everything float32. tracegrad and every peer get the same arrays.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import tracegrad as tg

TAU_SYN, TAU_MEM, TAU_READOUT, DT = 5e-3, 10e-3, 20e-3, 1e-3
ALPHA, BETA, KAPPA = (float(np.exp(-DT / tau)) for tau in (TAU_SYN, TAU_MEM, TAU_READOUT))
SLOPE, DENSITY = 25.0, 0.02
LEARNING_RATE = 1e-9  # the work of an update, but spikes stay as dense as they are at the start


class Workload(NamedTuple):
    """Sizes: input lines, hidden neurons, classes, time steps, sequences; scale of the weights.

    At scale 1 about 7 % of the hidden neurons spike in a step, at 0.85 about 3 %.
    """

    lines: int
    hidden: int
    classes: int
    steps: int
    batch: int
    scale: float = 1.0


WORKLOADS = {
    "W1": Workload(700, 256, 20, 100, 32),
    "W1 at 3 %": Workload(700, 256, 20, 100, 32, scale=0.85),
    "W1T1600": Workload(700, 256, 20, 1600, 32),
    "W2": Workload(700, 1024, 20, 250, 32),
    "W2 at 3 %": Workload(700, 1024, 20, 250, 32, scale=0.85),
    "W3": Workload(700, 256, 20, 1000, 1),
}


class Given(NamedTuple):
    """Input (T, B, m), class of every sequence (B,), and weights (from, to) of the three parts."""

    xs: np.ndarray
    classes: np.ndarray
    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray


def given(work: Workload, density: float = DENSITY) -> Given:
    """The arrays of a workload, the same in every process."""
    rng = np.random.default_rng(1234)
    shape = (work.steps, work.batch, work.lines)
    xs = (rng.random(shape, dtype=np.float32) < density).astype(np.float32)
    classes = rng.integers(0, work.classes, work.batch)
    rng = np.random.default_rng(7)

    def draw(rows: int, columns: int, scale: float) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * scale).astype(np.float32)

    n = work.hidden
    return Given(
        xs,
        classes,
        draw(work.lines, n, 0.025 * work.scale),
        draw(n, n, 0.3 * work.scale / n**0.5),
        draw(n, work.classes, 0.2 / n**0.5),
    )


def network(work: Workload, arrays: Given) -> tg.Network:
    """The same network in tracegrad; neuron parameters are frozen, as in the peers."""
    neuron = tg.CubaLIF(
        tau_mem=TAU_MEM,
        tau_syn=TAU_SYN,
        surrogate=tg.SuperSpike(SLOPE),
        normalised=False,
    )

    def dense(weight: np.ndarray) -> tg.Dense:
        return tg.Dense.from_arrays(jnp.asarray(weight.T))

    layer = tg.Layer(dense(arrays.w_in), neuron, recurrent=dense(arrays.w_rec))
    units = tg.LI(tau_mem=TAU_READOUT, normalised=False)
    readout = tg.Readout.of(units, work.hidden, work.classes)
    readout = eqx.tree_at(lambda r: r.input, readout, dense(arrays.w_out))
    return tg.Network(layer, readout=readout, dt=DT).freeze("*.neuron.*")
