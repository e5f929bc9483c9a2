"""Real: a device library in single precision, with a test vector of the simulation in double.

In single precision a sum can cross a threshold a step early or late, and from there on both learn
from other spikes. So the same source is compiled for double too: there every spike is that of the
simulation, and from each of its states a step in single precision is right to a few roundings.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.account import measured
from tracegrad.export.device import Block, Device, follow
from tracegrad.export.folder import Written
from tracegrad.export.real_neuron import constants, names_of, neuron_header
from tracegrad.export.refusals import check_network
from tracegrad.export.source import arrived, braced, header, read_file
from tracegrad.learn.filter import Kappa, NoFilter
from tracegrad.learn.influence import Block as BlockInfluence
from tracegrad.learn.influences.presynaptic import Presynaptic
from tracegrad.learn.signal import Random, Symmetric
from tracegrad.learn.signals.local_readout import LocalReadout
from tracegrad.model.network import Network
from tracegrad.model.neuron import CURRENT, ports
from tracegrad.model.stage import Stage
from tracegrad.run.folder import make_folder
from tracegrad.run.learner_state import stream_of

NAME = "float32"  # what it is called on the command line
FILES = ("learner.h", "learner.c", "double.h", "double.c", "test.c", "Makefile")
SIGNALS = {Symmetric: "symmetric.h", Random: "random.h", LocalReadout: "local_readout.h"}


class Wished(NamedTuple):
    """Spikes (time, n) of the simulation in float64, and its weights in the end."""

    spikes: np.ndarray
    weights: dict[str, np.ndarray]


def wished(device: Device, block: Block) -> Wished:
    """What the simulation does with a block."""
    state, spikes = follow(device, block, lambda state: stream_of(state).state[0].z[0])
    return Wished(np.asarray(spikes) > 0, weights(state.network))


def weights(network: Network) -> dict[str, np.ndarray]:
    """The weights by matrix, in the order of the C structure."""
    layer: Any = network.layers[0]
    found: dict[str, Any] = {"input": layer.input.weight}
    if layer.recurrent is not None:
        found["recurrent"] = layer.recurrent.weight
    found["readout"] = network.readout.input.weight  # type: ignore[attr-defined]  # Dense: checked
    return {name: np.asarray(weight) for name, weight in found.items()}


def check_real(device: Device) -> None:
    """`UsageError` for the first thing that the library has not."""
    network, rule = device.learner.network, device.learner.rule
    check_network(network)
    neuron = network.layers[0].neuron
    if ports(neuron) != (CURRENT,):
        raise UsageError(f"The library has neurons of one current, got {type(neuron).__name__}.")
    if not isinstance(rule.influence, BlockInfluence | Presynaptic) or rule.around is not None:
        raise UsageError(
            f"{rule.name} has no form in float32: the library has block_diagonal, eprop, decolle, "
            "ottt. Choose one of them."
        )
    if not isinstance(rule.filter, Kappa | NoFilter):
        raise UsageError(f"{rule.name} has a filter of its own. Choose eprop.")
    if type(rule.signal) not in SIGNALS:
        raise UsageError(
            "The float32 library has the signals symmetric, random and local, got "
            f"{type(rule.signal).__name__}. Choose one of them."
        )


def real_source(device: Device) -> dict[str, str]:
    """The library's files as text; `UsageError` for what has no form."""
    check_real(device)
    hidden, readout = _stages(device)
    rule: Any = device.learner.rule
    kind = "block" if isinstance(rule.influence, BlockInfluence) else "presynaptic"
    chosen = {
        "traces.h": f"{kind}_traces.h",
        "rule.h": f"{kind}.h",
        "signal.h": SIGNALS[type(rule.signal)],
    }
    files = {name: name for name in FILES} | chosen
    made = {name: read_file(f"real_{file}") for name, file in files.items()}
    made["neuron.h"] = neuron_header(hidden)
    return made | {"model.h": _model(device, hidden, readout)}


def real_vector(block: Block, found: Wished) -> str:
    """The test vector as text."""
    macros = arrived(block) | {
        "SPIKES": found.spikes.astype(int),
        "WEIGHTS_AFTER": _structure(found.weights),
    }
    return header("vector.h: what arrives, and what should come of it.", macros)


def write_real(device: Device, block: Block, path: Path) -> Written:
    """Write everything; the block is the test vector. The folder must not exist."""
    texts = real_source(device) | {"vector.h": real_vector(block, wished(device, block))}
    make_folder(path)
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")
    done = Written(path, measured(path))
    (path / "README.md").write_text(_readme(device, done, block.steps), encoding="utf-8")
    return done


def _stages(device: Device) -> tuple[Stage, Stage]:
    """Hidden layer and readout as the rule differentiates them."""
    rule: Any = device.learner.rule
    circuit = device.learner.deployed(device.state).discretise()
    hidden, readout = rule.influence.prepare(circuit).stages
    return hidden, readout


def _model(device: Device, hidden: Stage, readout: Stage) -> str:
    rule: Any = device.learner.rule
    layer = device.learner.network.layers[0]
    own = isinstance(rule.influence, BlockInfluence) and rule.influence.self_weight
    filtered, recurrent = isinstance(rule.filter, Kappa), layer.recurrent is not None
    kappa = float(readout.coefficients["alpha"][0])
    rows = hidden.rest(1).s
    held = constants(hidden)
    macros: dict[str, Any] = {
        "INPUTS": layer.input.inputs,
        "NEURONS": layer.input.outputs,
        "OUTPUTS": device.learner.network.readout.input.outputs,
        "ROWS": len(rows),
        "COEFFICIENTS": held.shape[1],
        "RECURRENT": int(recurrent),
        "AUTAPSES": int(layer.autapses),
        "FILTERED": int(filtered),
        "SELF_WEIGHT": int(own and recurrent),
        "KAPPA": _real(kappa),
        "READOUT_GAIN": _real(1.0 - kappa),
        "ERROR_GAIN": _real(1.0 if filtered else 1.0 - kappa),
        "RATE": _real(device.rate),
        "REST": np.stack(
            [np.broadcast_to(rows[name][0], hidden.size) for name in names_of(hidden).rows], axis=1
        ),
        "CONSTANTS": held,
        "WEIGHTS": _structure(weights(device.state.network)),
    }
    if device.state.feedback:
        macros["FEEDBACK"] = np.asarray(device.state.feedback[0])
    return header("model.h: the numbers of this network.", macros)


def _real(value: float) -> str:
    return braced(np.asarray(value))


def _structure(found: dict[str, np.ndarray]) -> str:
    return f"{{{', '.join(map(braced, found.values()))}}}"


def _readme(device: Device, done: Written, steps: int) -> str:
    network, size = device.learner.network, done.size
    layer, outputs = network.layers[0], network.readout.input.outputs
    recurrent = "r" if layer.recurrent is not None else ""
    told = {
        "shape": f"{layer.input.inputs}-{layer.input.outputs}{recurrent}-{outputs}",
        "neuron": type(layer.neuron).__name__,
        "rule": device.learner.rule.name,
        "rate": f"{device.rate:g}",
        "memory": "No C compiler was there to measure flash and RAM."
        if size is None
        else f"Flash {size.flash} bytes, RAM {size.ram} bytes (`{size.compiler} -O2`).",
        "steps": str(steps),
    }
    text = read_file("real_README.md")
    for name, value in told.items():
        text = text.replace(f"@{name}@", value)
    return text
