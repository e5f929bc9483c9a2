"""docs/coming_from.md is right: its neurons spike as those of the library that they come from.

The steps are the equations of each library's neuron as its source has them, in plain NumPy.
"""

import ast
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from pages import ROOT, blocks

PAGE = ROOT / "docs" / "coming_from.md"
STEPS, LINES, UNITS = 120, 12, 10
rng = np.random.default_rng(3)
XS = (rng.random((STEPS, 1, LINES)) < 0.15).astype(float)
W = rng.normal(0.0, 1.0, (UNITS, LINES))
V = rng.normal(0.0, 0.3, (UNITS, UNITS))
Step = Callable[[dict, np.ndarray], tuple[dict, np.ndarray]]


def snntorch(s: dict, current: np.ndarray) -> tuple[dict, np.ndarray]:
    """RSynaptic(alpha=0.8, beta=0.9): the spike of the step before is subtracted after the leak."""
    reset = s["v"] > 1.0
    i = 0.8 * s["i"] + current
    v = 0.9 * s["v"] + i - reset
    return {"i": i, "v": v}, v > 1.0


def norse(s: dict, current: np.ndarray) -> tuple[dict, np.ndarray]:
    """LIFRecurrentCell at 1 ms: the membrane sees the old current, and is set to zero at once."""
    v = s["v"] + 1e-3 * 100.0 * (s["i"] - s["v"])
    z = v > 1.0
    return {"i": s["i"] - 1e-3 * 200.0 * s["i"] + current, "v": (1 - z) * v}, z


def spikingjelly(s: dict, current: np.ndarray) -> tuple[dict, np.ndarray]:
    """LIFNode(tau=10.0, v_reset=None): charge, fire, and subtract in the same step."""
    v = s["v"] + (current - s["v"]) / 10.0
    z = v >= 1.0
    return {"v": v - z}, z


def braintrace(s: dict, current: np.ndarray) -> tuple[dict, np.ndarray]:
    """brainpy.state.LIF behind Expon: the last spike is subtracted, then all decays exactly."""
    i = np.exp(-1.0 / 5.0) * s["i"] + current
    v = s["v"] - (s["v"] > 1.0)
    v = np.exp(-1.0 / 10.0) * v + (1.0 - np.exp(-1.0 / 10.0)) * i
    return {"i": i, "v": v}, v > 1.0


PEERS = {  # in the order of the page, with a gain at which they spike
    "snntorch": (snntorch, 0.12),
    "norse": (norse, 1.0),
    "spikingjelly": (spikingjelly, 6.0),
    "braintrace": (braintrace, 1.0),
}


def shown() -> list[tg.AbstractNeuron]:
    """Every `neuron = ...` of the page's blocks that run, made as the page makes it."""
    names, found = {}, []
    code = "".join(block.code for block in blocks(PAGE) if block.runs)
    for node in ast.parse(code).body:
        made = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "neuron"
        if made or isinstance(node, ast.Import | ast.FunctionDef) or "DT =" in ast.unparse(node):
            exec(compile(ast.Module([node], []), str(PAGE), "exec"), names)
        if made:
            found.append(names["neuron"])
    return found


def simulated(step: Step, gain: float) -> np.ndarray:
    state: dict = {"i": np.zeros(UNITS), "v": np.zeros(UNITS)}
    z, spikes = np.zeros(UNITS), []
    for x in XS[:, 0]:
        state, z = step(state, gain * (W @ x + V @ z))
        spikes.append(z)
    return np.array(spikes, float)


def ours(neuron: tg.AbstractNeuron, gain: float) -> np.ndarray:
    layer = tg.Layer(
        tg.Dense.from_arrays(jnp.asarray(gain * W)),
        neuron,
        recurrent=tg.Dense.from_arrays(jnp.asarray(gain * V)),
    )
    net = tg.Network(layer, readout=tg.Readout(UNITS, 1), dt=1e-3).init(jax.random.key(0))
    outputs, _ = net(jnp.asarray(XS))
    return np.asarray(outputs[0][:, 0])


@pytest.mark.parametrize("peer", PEERS)
def test_a_neuron_of_the_page_spikes_as_that_of_the_library(peer):
    step, gain = PEERS[peer]
    neuron = dict(zip(PEERS, shown(), strict=True))[peer]
    theirs = simulated(step, gain)
    assert 0.02 < theirs.mean() < 0.5
    np.testing.assert_array_equal(ours(neuron, gain), theirs)
    usual = type(neuron)(tau_mem=neuron.tau_mem)  # without what the page says differs
    assert (ours(usual, gain) != theirs).any()
