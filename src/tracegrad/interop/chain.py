"""Chain: a NIR graph as neurons one behind another, each with what drives it."""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from tracegrad.errors import DataError, UsageError

NEURONS = ("LIF", "CubaLIF", "IF", "LI", "CubaLI", "I")
LINKS = ("Linear", "Affine", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten")
GRAPH, ENTRY, EXIT = "NIRGraph", "Input", "Output"


class Named(NamedTuple):
    """A node and its name."""

    name: str
    node: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type of the node."""
        return self.node["type"]


class Population(NamedTuple):
    """A neuron node, the link nodes that lead to it in order, and its own recurrent link."""

    links: tuple[Named, ...]
    neuron: Named | None
    recurrent: Named | None


class Chain(NamedTuple):
    """The graph's input node, its populations in order, and its metadata."""

    entry: Named
    populations: tuple[Population, ...]
    metadata: dict[str, Any]


def chain_of(graph: dict[str, Any]) -> Chain:
    """The populations of a graph of plain dictionaries; `UsageError` for what is no chain.

    Graphs inside are laid flat. The last population has no neuron where the graph ends with a link.
    """
    nodes, edges = _flat(graph, "")
    for name, node in nodes.items():
        _known(name, node)
    flat = _contracted(_Flat(nodes, edges))
    _refuse_instant_cycle(flat)
    return Chain(
        Named(flat.entry, flat.nodes[flat.entry]),
        tuple(_walk(flat)),
        _table(graph.get("metadata", {}), "the graph's metadata"),
    )


@dataclass(frozen=True)
class _Flat:
    """Nodes by name and edges between them, no graphs inside."""

    nodes: dict[str, dict[str, Any]]
    edges: list[tuple[str, str]]

    def after(self, name: str) -> list[str]:
        return [b for a, b in self.edges if a == name]

    def before(self, name: str) -> list[str]:
        return [a for a, b in self.edges if b == name]

    def kind(self, name: str) -> str:
        return self.nodes[name]["type"]

    def only(self, kind: str) -> str:
        found = [name for name in self.nodes if self.kind(name) == kind and "/" not in name]
        if len(found) != 1:
            raise UsageError(
                f"A graph must have one {kind} node, got {len(found)}: "
                f"{', '.join(found) or 'none'}. Split it, or add one."
            )
        return found[0]

    @property
    def entry(self) -> str:
        return self.only(ENTRY)

    def loops(self, name: str) -> list[str]:
        """The links that lead from a neuron back to it alone."""
        if self.kind(name) not in NEURONS:
            return []
        return [n for n in self.after(name) if self.after(n) == [name] and self.before(n) == [name]]


def _flat(graph: dict[str, Any], prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with those of inner graphs among them; a name inside is `outer/inner`."""
    what = prefix.rstrip("/") or "the graph"
    inside = _table(graph.get("nodes"), f"nodes of {what}")
    edges = [(prefix + a, prefix + b) for a, b in _pairs(graph.get("edges"), what)]
    nodes: dict[str, Any] = {}
    for name, node in inside.items():
        node = _table(node, f"node {prefix}{name}")
        if node.get("type") != GRAPH:
            nodes[prefix + name] = node
            continue
        deeper, inner = _flat(node, f"{prefix}{name}/")
        nodes |= deeper
        ends = {kind: _end(deeper, f"{prefix}{name}/", kind) for kind in (ENTRY, EXIT)}
        edges = [
            (ends[EXIT] if a == prefix + name else a, ends[ENTRY] if b == prefix + name else b)
            for a, b in edges
        ] + inner
    return nodes, edges


def _end(nodes: dict[str, Any], prefix: str, kind: str) -> str:
    found = [n for n, v in nodes.items() if v.get("type") == kind and "/" not in n[len(prefix) :]]
    if len(found) != 1:
        raise UsageError(
            f"The graph {prefix.rstrip('.')} inside must have one {kind} node, got {len(found)}."
        )
    return found[0]


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{what} must be a group, got {type(value).__name__}. Write it again.")
    return value


def _pairs(value: Any, what: str) -> Iterable[tuple[str, str]]:
    try:
        pairs = [(_name(a), _name(b)) for a, b in value]
    except (TypeError, ValueError):
        raise DataError(f"The edges of {what} must be pairs of names. Write it again.") from None
    return pairs


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _known(name: str, node: dict[str, Any]) -> None:
    kind = node.get("type")
    if kind == "Delay":
        raise UsageError(
            f"Node {name} is a Delay, and connections here have none. Take the delays out of the "
            "graph and train it on, or run it in a simulator that has them."
        )
    if kind not in (*NEURONS, *LINKS, ENTRY, EXIT):
        raise UsageError(
            f"Node {name} is a {kind}, which is not loaded. There are "
            f"{', '.join((*NEURONS, *LINKS, ENTRY, EXIT))}. Write it as one of them."
        )


def _contracted(flat: _Flat) -> _Flat:
    """Without the inputs and outputs of inner graphs."""
    nodes, edges = dict(flat.nodes), list(dict.fromkeys(flat.edges))
    for a, b in edges:
        if missing := [name for name in (a, b) if name not in nodes]:
            raise DataError(f"An edge names {missing[0]}, but there is no such node. Write it.")
    for name in [n for n in nodes if "/" in n and nodes[n]["type"] in (ENTRY, EXIT)]:
        into, out = [a for a, b in edges if b == name], [b for a, b in edges if a == name]
        edges = [(a, b) for a, b in edges if name not in (a, b)]
        edges += [(a, b) for a in into for b in out]
        del nodes[name]
    return _Flat(nodes, edges)


def _refuse_instant_cycle(flat: _Flat) -> None:
    """Every cycle must pass a neuron, whose output of the step before it carries."""
    instant = [name for name in flat.nodes if flat.kind(name) not in NEURONS]
    graph = {name: [a for a in flat.before(name) if a in instant] for name in instant}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise UsageError(
            f"The nodes {' -> '.join(reversed(error.args[1]))} form a cycle without a neuron, "
            "which no step can compute. Put a neuron into it."
        ) from None


def _walk(flat: _Flat) -> Iterable[Population]:
    """From the input to the output, one node after another."""
    here, end, links = flat.entry, flat.only(EXIT), []
    seen = {here}
    while here != end:
        loops = flat.loops(here)
        onward = [name for name in flat.after(here) if name not in loops]
        if len(onward) != 1:
            raise UsageError(
                f"Node {here} leads to {', '.join(onward) or 'nothing'}: a network here is a "
                "chain, each node leading to one other. Leave branches out."
            )
        here = onward[0]
        loops = flat.loops(here)
        others = [name for name in flat.before(here) if name not in (*seen, *loops)]
        if len(flat.before(here)) != 1 + len(loops) or others or len(loops) > 1:
            raise UsageError(
                f"Node {here} is fed by {', '.join(flat.before(here))}: a network here is a chain, "
                "and a neuron has at most one connection to itself. Leave branches out."
            )
        seen |= {here, *loops}
        if flat.kind(here) in NEURONS:
            back = Named(loops[0], flat.nodes[loops[0]]) if loops else None
            yield Population(tuple(links), Named(here, flat.nodes[here]), back)
            links = []
        elif here != end:
            links.append(Named(here, flat.nodes[here]))
    if links:
        yield Population(tuple(links), None, None)
    if lost := [name for name in flat.nodes if name not in seen]:
        raise UsageError(f"Node {lost[0]} lies on no way from input to output. Leave it out.")
