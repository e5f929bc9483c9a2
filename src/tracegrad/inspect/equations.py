"""Equations: an explanation put together, layer by layer, from neuron, influence and feedback."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Cell, definitions, derive, labels, surrogates
from tracegrad.inspect.explanation import Explanation
from tracegrad.inspect.feedback import Meeting, Place, meeting
from tracegrad.inspect.influences import change, recursion, seen_by
from tracegrad.inspect.layout import Equation, LayerExplanation, Section
from tracegrad.inspect.signals import signal
from tracegrad.inspect.site import Site
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.rule import Rule
from tracegrad.model.layer import Layer, Readout
from tracegrad.model.network import Circuit, Network
from tracegrad.model.stage import Stage

NOTE = """i: the neuron, j: what a synapse comes from, k: another neuron or output.
eta: learning rate; y, W_o: z and W of the readout; delta: dLoss/dy."""
AROUND = (
    "Delta is what the rule's own optimiser starts from; see the rule for what it does with it."
)
PORT_O = "W_o_ki is of the readout, W_o_ij of port o."


class _Part(NamedTuple):
    """A layer or the readout, with its name and where it stands in the stack."""

    name: str
    layer: Layer | Readout
    stage: Stage
    prepared: Stage
    place: Place | None  # None: the readout
    first: bool
    dt: float


def equations(network: Network, rule: Rule) -> Explanation:
    """The rule for every layer of a network and its readout, equal layers said once."""
    whole, prepared = _circuits(network, rule)
    parts = _parts(network, whole, prepared)
    cells = _Cells()
    first, last = cells.of(parts[0].stage, False), cells.of(parts[-1].stage, True)
    met = meeting(rule.filter, whole, first, last)
    layers: list[LayerExplanation] = []
    names: list[list[str]] = []
    for part in parts:
        sections = _sections(rule, part, cells, met)
        kinds = [layer.sections for layer in layers]
        if sections in kinds:
            names[kinds.index(sections)].append(part.name)
        else:
            layers.append(LayerExplanation(type(part.layer.neuron).__name__, sections))
            names.append([part.name])
    told = tuple(
        layer._replace(name=f"{_common(group)}: {layer.name}")
        for layer, group in zip(layers, names, strict=True)
    )
    ports = {port for layer in network.layers for port in _ports(layer)[0]}
    lines = [NOTE, PORT_O if "o" in ports else "", AROUND if rule.around else ""]
    note = "\n".join(filter(None, lines))
    return Explanation(f"{rule.name}: {rule.summary}", note, told)


def _common(names: list[str]) -> str:
    """Layer 0; or Layers 0, 1."""
    numbers = [name.removeprefix("Layer ") for name in names]
    return names[0] if len(names) == 1 else f"Layers {', '.join(numbers)}"


def _circuits(network: Network, rule: Rule) -> tuple[Circuit, Circuit]:
    """The circuit in full, and as the rule differentiates it; shapes only."""

    def circuit(net: Network) -> Circuit:
        return net.init(jax.random.key(0)).discretise()

    whole = eqx.filter_eval_shape(circuit, network)
    if not isinstance(rule.influence, AbstractInfluence):
        return whole, whole
    return whole, eqx.filter_eval_shape(rule.influence.prepare, whole)


def _parts(network: Network, whole: Circuit, prepared: Circuit) -> list[_Part]:
    layers = (*network.layers, network.readout)
    last = len(network.layers) - 1
    parts = []
    for index, layer in enumerate(layers):
        above = _ports(layers[index + 1])[0] if index < last else ()
        place = Place(network.readout.all_layers or index == last, above)
        name = f"Layer {index}" if index <= last else "Readout"
        stages = whole.stages[index], prepared.stages[index]
        parts.append(
            _Part(name, layer, *stages, place if index <= last else None, index == 0, network.dt)
        )
    return parts


class _Cells:
    """Cells by neuron: each is derived once."""

    def __init__(self):
        self.known: dict[Any, Cell] = {}

    def of(self, stage: Stage, is_readout: bool) -> Cell:
        """The cell of a stage's neuron."""
        key = stage.neuron, tuple(stage.coefficients), is_readout
        if key not in self.known:
            self.known[key] = _cell(stage, is_readout)
        return self.known[key]


def _cell(stage: Stage, is_readout: bool) -> Cell:
    rows = eqx.filter_eval_shape(lambda stage: stage.rest(1).s, stage)
    names = n.coefficients(stage.coefficients, n.READOUT if is_readout else n.HIDDEN)
    return derive(stage.neuron, names, sorted(rows))


def _sections(rule: Rule, part: _Part, cells: _Cells, met: Meeting) -> tuple[Section, ...]:
    hidden = part.place is not None
    whole, kept = (cells.of(stage, not hidden) for stage in (part.stage, part.prepared))
    site = _site(part, whole, kept)
    told = [*_neuron(part, site), *recursion(rule.influence, site)]
    if part.place is None:
        says = signal(rule.signal, Place(True, ()), met.error)
        return (*told, *change(rule.influence, site, n.E_NOW, (n.DELTA_I,) if says else ()))
    place = part.place._replace(states=tuple(whole.step))
    signals = signal(rule.signal, place, met.error)
    filters = met.filter if signals else ()
    told += [*(seen_by(rule.influence, section) for section in filters), *signals]
    return (*told, *change(rule.influence, site, met.trace, _heard(signals)))


def _heard(signals: tuple[Section, ...]) -> tuple[sp.Symbol, ...]:
    """The signal of a layer: L_i, or one for each state."""
    lefts = [e.left for section in signals if section.title == "Signal" for e in section.equations]
    return tuple(left for left in lefts if left.name.startswith("L_"))


def _ports(layer: Layer | Readout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ports of a layer's input and recurrent connection."""
    neuron = layer.neuron
    recurrent = neuron.recurrent_ports if isinstance(layer, Layer) and layer.recurrent else ()
    return labels(neuron, neuron.feedforward_ports), labels(neuron, recurrent)


def _site(part: _Part, whole: Cell, kept: Cell) -> Site:
    place = part.place
    readers = () if place is None else (*(("",) if place.read else ()), *place.above)
    return Site(
        whole,
        kept,
        *_ports(part.layer),
        readers=tuple(dict.fromkeys(readers)),
        biased=part.stage.bias is not None,
        below=not part.first,
        hidden=place is not None,
    )


def _received(site: Site, port: str) -> tuple[Any, ...]:
    """The current of a port: what connections bring."""
    terms: list[Any] = []
    if port in site.feedforward:
        weight = n.at_port("W", port, "ij")
        terms.append(sp.Sum(weight * sp.Symbol("x_j[t]"), (n.J, 1, sp.Symbol("n"))))
        terms += [n.at_port("b", port, "i")] if site.biased else []
    if port in site.recurrent:
        weight = n.at_port("V", port, "ij")
        terms.append(sp.Sum(weight * sp.Symbol("z_j[t-1]"), (n.J, 1, sp.Symbol("n"))))
    return tuple(terms)


def _neuron(part: _Part, site: Site) -> tuple[Section, ...]:
    """The neuron's own equations, and what its constants are."""
    cell = site.whole
    states = [
        Equation(n.state(row, n.NOW), _ordered(right, n.state(row, n.BEFORE)))
        for row, right in cell.step.items()
    ]
    neuron = (
        *(Equation(n.current(port), _received(site, port)) for port in cell.ports),
        *states,
        Equation(n.Z_NOW, (cell.output,)),
        *(Equation(psi, (x,)) for psi, x in cell.slopes.items()),
    )
    defined = definitions(part.layer.neuron, part.dt)
    constants = [
        Equation(cell.coefficients[name], (right,))
        for name, right in defined.items()
        if right is not None and right != cell.coefficients[name]
    ]
    formulas = [
        Equation(sp.Function(name)(sp.Symbol("x")), (formula,))
        for name, formula in surrogates(part.layer.neuron).items()
    ]
    missing = [cell.coefficients[name].name for name, right in defined.items() if right is None]
    note = f"{', '.join(missing)}: see coefficients() of the neuron" if missing else ""
    if not constants and not formulas and not missing:
        return (Section("Neuron", neuron),)
    return Section("Neuron", neuron), Section("Constants", (*constants, *formulas), note)


def _ordered(right: Any, own: sp.Symbol) -> tuple[Any, ...]:
    """The terms of an update: its own memory first, the last output last."""
    return tuple(sorted(sp.Add.make_args(right), key=lambda term: (
        not term.has(own), term.has(n.Z_BEFORE), sp.default_sort_key(term)
    )))  # fmt: skip
