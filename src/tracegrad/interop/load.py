"""Load: a network from a NIR graph, and the learning rule that the graph tells of."""

from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float64

from tracegrad.errors import DataError, UsageError
from tracegrad.interop.cells import SETTINGS, Cell, Method, cell, told
from tracegrad.interop.chain import Chain, Named, Population, chain_of
from tracegrad.interop.described import parsed
from tracegrad.interop.hdf5 import read_file
from tracegrad.interop.links import (
    Drive,
    connection,
    dense_arrays,
    filled,
    flattened,
    identity,
    out_shape,
    sparse,
)
from tracegrad.interop.told_rule import rule_of
from tracegrad.interop.values import Shape, shape_of
from tracegrad.learn.rule import Rule
from tracegrad.model import (
    AbstractReset,
    Dense,
    Layer,
    Memoryless,
    Network,
    Readout,
    Sparse,
    ZeroReset,
)
from tracegrad.model.linear import AbstractLinear

PASSING = "readout.input.weight"  # of a readout that the graph does not have


def from_nir(
    graph: Any,
    dt: float | None = None,
    euler: bool | None = None,
    reset: AbstractReset | None = None,
) -> Network:
    r"""The network of a NIR graph, a file's path or a `nir.NIRGraph`, with steps of `dt` seconds.

    NIR's equations are solved exactly over a step of constant current, or by Euler's method
    (`euler=True`: Norse, snnTorch, Spyx). A spike is `v > v_threshold`; it sets `v` to 0 before the
    next step (`ZeroReset`, as NIR says) or `reset=SubtractReset()` lowers it by the threshold. IF
    and I add what a step brings, `r` times, whatever `dt`. Resistances, `w_in` and `v_leak` go into
    weights and biases. What `to_nir` wrote is restored as it was; the arguments, where given, come
    first, `reset` excepted. Spikes reach the next node in the same step, a neuron itself one step
    later. Links without a neuron between them become layers of `Memoryless` units. A graph whose
    last neuron spikes gets a readout that passes the spikes on, frozen.
    Raises `UsageError` or `DataError`, one sentence, for what a network here cannot be.

        net = tg.from_nir("braille.nir", dt=1e-4, euler=True)
    """
    chain = chain_of(_plain(graph))
    about = _about(chain)
    step = about.get("dt") if dt is None else dt
    if not isinstance(step, float | int) or not 0 < step < float("inf"):
        raise UsageError(f"dt must be a positive number of seconds, got {step}. The file has none.")
    by_euler = bool(about.get("euler", False)) if euler is None else euler
    method = Method(float(step), by_euler, reset or ZeroReset())
    layers: list[Layer] = []
    shape = shape_of(chain.entry)
    for population in chain.populations:
        made, shape = _layers(population, shape, method)
        layers += made
    return _network(layers, method.dt, tuple(about.get("frozen", ())))


def rule_from_nir(graph: Any) -> Rule | None:
    """The learning rule in a graph's metadata, None where it has none."""
    return rule_of(chain_of(_plain(graph)).metadata)


def _plain(graph: Any) -> dict[str, Any]:
    """Plain dictionaries from a path or an object of the `nir` package."""
    if isinstance(graph, str | Path):
        return read_file(Path(graph))
    if not callable(getattr(graph, "to_dict", None)):
        raise UsageError(f"A NIR graph is a path or a nir.NIRGraph, got {type(graph).__name__}.")
    return graph.to_dict()


def _about(chain: Chain) -> dict[str, Any]:
    """What tracegrad wrote of the whole graph."""
    text = chain.metadata.get(SETTINGS)
    about = {} if text is None else parsed(text, SETTINGS)
    frozen = about.get("frozen", [])
    if not isinstance(frozen, list) or not all(isinstance(name, str) for name in frozen):
        raise DataError(f"frozen must be a list of patterns, got {frozen!r}. Write it again.")
    return about


def _layers(population: Population, shape: Shape, method: Method) -> tuple[list[Layer], Shape]:
    """A layer for each link, all but the last of units without memory, and the last one's shape."""
    links: list[tuple[Named, Shape]] = []
    for link in population.links:
        if link.kind == "Flatten":
            shape = flattened(link, shape)
        else:
            links.append((link, shape))
            shape = out_shape(connection(link, shape, None))
    below = links if population.neuron is None else links[:-1]
    layers = [Layer(connection(link, came, None), Memoryless()) for link, came in below]
    if population.neuron is not None:
        layers.append(_populated(population, links[-1] if links else None, shape, method))
    return layers, shape


def _populated(
    population: Population, link: tuple[Named, Shape] | None, shape: Shape, method: Method
) -> Layer:
    """The layer of a neuron node, its factors in the weights that lead to it."""
    assert population.neuron is not None
    made = cell(population.neuron, shape, method)
    recurrent, bias = _recurrent(population.recurrent, shape, made)
    drive = Drive(made.scale, made.constant + made.scale * bias)
    size = len(made.scale)
    first = identity(size, drive) if link is None else connection(*link, drive)
    settings = None if population.recurrent is None else told(population.recurrent)
    autapses = settings is None or settings.get("autapses") is not False
    return Layer(first, made.neuron, recurrent, autapses=autapses)


def _recurrent(
    of: Named | None, shape: Shape, made: Cell
) -> tuple[Dense | Sparse | None, Float64[np.ndarray, "..."]]:
    """The recurrent connection of a neuron node, and its bias, which joins that of the input."""
    if of is None:
        return None, np.zeros(())
    if of.kind not in ("Linear", "Affine"):
        raise UsageError(
            f"Node {of.name} is a {of.kind} from a neuron to itself. Write it as Linear or Affine."
        )
    weight, bias = dense_arrays(of)
    if shape != weight.shape[:1] or shape != weight.shape[1:]:
        raise DataError(
            f"Node {of.name}: weight must be square for neurons of shape {shape}, got "
            f"{weight.shape}. Make its nodes fit."
        )
    scaled = weight * made.scale[:, None]
    settings = told(of) or {}
    kept = sparse(scaled, None) if settings.get("kind") == "Sparse" else filled(scaled)
    return kept, np.zeros(()) if bias is None else bias


def _network(layers: list[Layer], dt: float, frozen: tuple[str, ...]) -> Network:
    """The layers under a readout: the last of them if it is linear, or one that passes spikes."""
    if not layers:
        raise UsageError("The graph has no node between input and output. Add one.")
    last = layers[-1]
    given, neuron = last.input, last.neuron
    reads = len(layers) > 1 and last.recurrent is None
    if reads and isinstance(neuron, AbstractLinear) and isinstance(given, Dense):
        readout = _readout(given, neuron)
        return Network(*layers[:-1], readout=readout, dt=dt, frozen=frozen)
    passing = _readout(identity(given.outputs), Memoryless())
    frozen = tuple(dict.fromkeys((*frozen, PASSING)))
    return Network(*layers, readout=passing, dt=dt, frozen=frozen)


def _readout(given: Dense, neuron: AbstractLinear) -> Readout:
    blank = Readout.of(neuron, given.inputs, given.outputs)
    return eqx.tree_at(lambda r: r.input, blank, given)
