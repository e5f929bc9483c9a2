"""Save: a network, and the rule that trained it, as a NIR graph."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float64

from tracegrad.data.extras import extra
from tracegrad.errors import UsageError
from tracegrad.interop.cells import SETTINGS
from tracegrad.interop.described import described
from tracegrad.interop.links import out_shape
from tracegrad.interop.told_rule import told
from tracegrad.interop.values import Shape
from tracegrad.learn.rule import Rule
from tracegrad.model import (
    AbstractConnection,
    Conv,
    Dense,
    Layer,
    Network,
    Pool,
    Positive,
    Readout,
    Sparse,
)
from tracegrad.model.abstract_connection import drawn
from tracegrad.model.linear import AbstractLinear
from tracegrad.model.memoryless import Memoryless

FORMAT = 1


def to_nir(network: Network, rule: Rule | None = None, euler: bool = False) -> Any:
    r"""The `nir.NIRGraph` of a network with weights; `nir.write(path, graph)` makes it a file.

    NIR's equations say what a neuron does between spikes; the rest travels as metadata, which other
    tools do not read: reset, surrogate, order within a step, `dt`, frozen parameters and, with
    `rule`, its name and parts. Time constants are ours, for a reader that solves the equations
    exactly, or with `euler=True` those with which Euler's method at the same `dt` makes the same
    steps. NIR's own reset is to zero before the next step: that of `reset_first=True` and
    `ZeroReset`. Spikes are kept to the bit by `from_nir` in single precision. Neurons: LIF,
    CubaLIF, IF, LI, DoubleExponential (as CubaLI), Integrator (as I), Memoryless (no node).
    `UsageError` names what NIR has no node for.

        nir.write("net.nir", tg.to_nir(network, tg.rules.eprop()))
    """
    nir = extra("nir", "NIR graphs", "nir")
    if network.readout.all_layers:
        raise UsageError("A readout of all layers is no chain. Give one that reads the last layer.")
    writer = _Writer(nir, _Time(network.dt, euler), {}, [])
    first = network.layers[0].input
    shape = first.shape if isinstance(first, Conv | Pool) else (first.inputs,)
    writer.add("input", nir.Input(input_type={"input": np.array(shape)}))
    for index, layer in enumerate(network.layers):
        shape = writer.layer(f"layer{index}", layer, shape)
    readout = network.readout
    if not _passes_on(network.layers[-1], readout):
        shape = writer.layer("readout", Layer(readout.input, readout.neuron), shape)
    writer.add("output", nir.Output(output_type={"output": np.array(shape)}))
    about = {"format": FORMAT, "dt": network.dt, "euler": euler, "frozen": list(network.frozen)}
    metadata = {SETTINGS: json.dumps(about)} | ({} if rule is None else told(rule))
    return nir.NIRGraph(writer.nodes, writer.edges, metadata=metadata)


def write_nir(network: Network, path: Path, rule: Rule | None = None, euler: bool = False) -> None:
    """Write the graph of `to_nir` to a file."""
    graph = to_nir(network, rule, euler)
    extra("nir", "NIR graphs", "nir").write(path, graph)


def _passes_on(last: Layer, readout: Readout) -> bool:
    """Whether the readout is the outputs of the last layer, which then need no node."""
    weight = np.asarray(drawn(readout.input.weight))
    same = weight.shape[0] == weight.shape[1] and bool((weight == np.eye(len(weight))).all())
    plain = isinstance(readout.neuron, Memoryless) and not readout.input.biased
    return same and plain and not isinstance(last.neuron, AbstractLinear)


class _Time(NamedTuple):
    """The step, and whether time constants are those of Euler's method."""

    dt: float
    euler: bool

    def constant(self, tau: Positive) -> Float64[np.ndarray, "*n"]:
        """The time constant to write."""
        return np.asarray(self.dt / self.gain(tau)) if self.euler else _value(tau)

    def gain(self, tau: Positive) -> Float64[np.ndarray, "*n"]:
        """Weight of a current in a step of NIR's equation."""
        return np.asarray(-np.expm1(-self.dt / _value(tau)))


def _value(positive: Positive) -> Float64[np.ndarray, "*n"]:
    """The quantity, from its logarithm in double precision."""
    return np.asarray(np.exp(np.asarray(positive.log, np.float64)))


class _Writer(NamedTuple):
    """Nodes and edges so far; each node follows the one before it."""

    nir: Any
    time: _Time
    nodes: dict[str, Any]
    edges: list[tuple[str, str]]

    def add(self, name: str, node: Any) -> None:
        """Put a node behind the last one."""
        if self.nodes:
            last = [n for n in self.nodes if not n.endswith(".recurrent")][-1]
            self.edges.append((last, name))
        self.nodes[name] = node

    def layer(self, name: str, layer: Layer, shape: Shape) -> Shape:
        """Nodes of a layer, for lines of that shape; returns the shape of its neurons."""
        joined = layer.input
        if isinstance(joined, Conv | Pool):
            if joined.shape != shape:
                raise UsageError(
                    f"{name} sees {joined.shape}, but what comes in has shape {shape}, and NIR "
                    "cannot fold lines into a map. Make the shapes equal."
                )
        elif len(shape) != 1:
            node = self.nir.Flatten({"input": np.array(shape)}, 0, -1)
            self.add(f"{name}.flatten", node)
        self.add(f"{name}.input", _link(self.nir, joined, name))
        made = out_shape(joined)
        if not isinstance(layer.neuron, Memoryless):
            self.add(f"{name}.neuron", self.neuron(name, layer, made))
        elif layer.recurrent is not None:
            raise UsageError(f"{name} is recurrent without a neuron of NIR. Give it one.")
        if layer.recurrent is not None:
            self.nodes[f"{name}.recurrent"] = _recurrent(self.nir, layer)
            self.edges.append((f"{name}.neuron", f"{name}.recurrent"))
            self.edges.append((f"{name}.recurrent", f"{name}.neuron"))
        return made

    def neuron(self, name: str, layer: Layer, shape: Shape) -> Any:
        """The neuron node of a layer."""
        neuron: Any = layer.neuron
        kind = type(neuron).__name__
        if kind not in WRITERS:
            raise UsageError(
                f"NIR has no node for {kind} in {name}. Use one of {', '.join(WRITERS)}."
            )
        made, values = WRITERS[kind](self.time, neuron)
        pool = layer.input
        if isinstance(pool, Pool) and _leftover(pool) != 1.0:
            values["r"] = values["r"] * _leftover(pool)
        arrays = {key: _shaped(value, shape) for key, value in values.items()}
        told = json.dumps(described(neuron))
        return getattr(self.nir, made)(**arrays, metadata={SETTINGS: told})


def _shaped(value: Any, shape: Shape) -> Float64[np.ndarray, "..."]:
    """A number for each neuron, in the shape of the layer."""
    array = np.asarray(value, np.float64)
    return np.broadcast_to(array.reshape(shape) if array.ndim else array, shape).copy()


def _leaky(time: _Time, neuron: Any) -> dict[str, Any]:
    r = 1.0 if neuron.normalised else 1.0 / time.gain(neuron.tau_mem)
    return {"tau": time.constant(neuron.tau_mem), "r": r, "v_leak": 0.0}


def _spiking(neuron: Any) -> dict[str, Any]:
    return {"v_threshold": _value(neuron.v_threshold), "v_reset": 0.0}


def _lif(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    return "LIF", {**_leaky(time, neuron), **_spiking(neuron)}


def _li(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    return "LI", _leaky(time, neuron)


def _if(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    return "IF", {"r": 1.0, **_spiking(neuron)}


def _i(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    return "I", {"r": 1.0}


def _cuba_lif(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    r = 1.0 if neuron.normalised else 1.0 / time.gain(neuron.tau_mem)
    taus = _cascade(time, neuron.tau_syn, neuron.tau_mem)
    return "CubaLIF", {**taus, "r": r, **_spiking(neuron)}


def _cuba_li(time: _Time, neuron: Any) -> tuple[str, dict[str, Any]]:
    return "CubaLI", {**_cascade(time, neuron.tau_rise, neuron.tau_decay), "r": 1.0}


def _cascade(time: _Time, synapse: Positive, membrane: Positive) -> dict[str, Any]:
    taus = {"tau_syn": time.constant(synapse), "tau_mem": time.constant(membrane)}
    return {**taus, "w_in": 1.0 / time.gain(synapse), "v_leak": 0.0}


WRITERS = {
    "LIF": _lif,
    "CubaLIF": _cuba_lif,
    "IF": _if,
    "LI": _li,
    "DoubleExponential": _cuba_li,
    "Integrator": _i,
}


def _link(nir: Any, joined: AbstractConnection, name: str) -> Any:
    """The link node of a connection."""
    if joined.ports != 1:
        raise UsageError(f"{name} has {joined.ports} currents a neuron, and NIR has one.")
    if isinstance(joined, Pool):
        return _pool(nir, joined)
    if isinstance(joined, Conv):
        return _conv(nir, joined)
    if not isinstance(joined, Dense | Sparse):
        raise UsageError(f"NIR has no node for the {type(joined).__name__} of {name}. Use Dense.")
    weight, bias = _matrix(joined), [np.asarray(b) for b in joined.biases()]
    metadata = {"metadata": {SETTINGS: json.dumps({"kind": type(joined).__name__})}}
    if bias:
        return nir.Affine(weight=weight, bias=bias[0], **metadata)
    return nir.Linear(weight=weight, **metadata)


def _matrix(joined: Dense | Sparse) -> np.ndarray:
    if isinstance(joined, Dense):
        return _finite(joined.weight)
    return _finite(joined.maps()[0].matrix())


def _finite(weight: Array | None) -> np.ndarray:
    value = np.asarray(drawn(weight))
    if not np.isfinite(value).all():
        raise UsageError("The network has weights that are not finite. Train it again.")
    return value


def _recurrent(nir: Any, layer: Layer) -> Any:
    assert layer.recurrent is not None
    weight = _matrix(layer.recurrent)
    if not layer.autapses:
        weight = weight * (1 - np.eye(len(weight), dtype=weight.dtype))
    about = {"kind": type(layer.recurrent).__name__, "autapses": layer.autapses}
    return nir.Linear(weight=weight, metadata={SETTINGS: json.dumps(about)})


def _conv(nir: Any, joined: Conv) -> Any:
    weight, patches = _finite(joined.weight), joined.patches
    bias = np.asarray(joined.bias) if joined.biased else np.zeros(joined.channels, weight.dtype)
    return nir.Conv2d(
        input_shape=joined.shape[1:],
        weight=weight,
        stride=patches.stride,
        padding=patches.padding,
        dilation=(1, 1),
        groups=1,
        bias=bias,
        metadata={SETTINGS: json.dumps({"kind": "Conv", "biased": joined.biased})},
    )


def _pool(nir: Any, joined: Pool) -> Any:
    patches = joined.patches
    node = nir.SumPool2d if joined.gain == float(np.prod(patches.kernel)) else nir.AvgPool2d
    sizes = (np.array(pair) for pair in (patches.kernel, patches.stride, patches.padding))
    return node(*sizes)


def _leftover(joined: Pool) -> float:
    """The part of a pooling's gain that its node does not say."""
    return 1.0 if joined.gain == float(np.prod(joined.patches.kernel)) else joined.gain
