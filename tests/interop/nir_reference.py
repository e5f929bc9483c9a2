"""A simulator of NIR chains in plain NumPy, written from NIR's equations alone."""

import numpy as np


def order(graph):
    """Node names from input to output, recurrent links left out, and those by their neuron."""
    back = {}
    for a, b in graph.edges:
        if (b, a) in graph.edges and type(graph.nodes[a]).__name__ in ("Linear", "Affine"):
            back[b] = a
    names, here = [], "input"
    while here != "output":
        here = next(b for a, b in graph.edges if a == here and b not in back.values())
        names.append(here)
    return names[:-1], back


class Neuron:
    """One neuron node: its equations over a step, then spike and reset."""

    def __init__(self, node, dt, euler):
        self.node, self.kind = node, type(node).__name__
        self.v, self.i = 0.0, 0.0
        self.left = {
            key: 1 - dt / getattr(node, key) if euler else np.exp(-dt / getattr(node, key))
            for key in ("tau", "tau_syn", "tau_mem")
            if getattr(node, key, None) is not None
        }

    def step(self, current):
        n = self.node
        if self.kind in ("IF", "I"):
            self.v = self.v + n.r * current
        else:
            if self.kind.startswith("Cuba"):
                a = self.left["tau_syn"]
                self.i = a * self.i + (1 - a) * n.w_in * current
                current = self.i
            b = self.left["tau_mem" if self.kind.startswith("Cuba") else "tau"]
            self.v = b * self.v + (1 - b) * (n.v_leak + n.r * current)
        if not self.kind.endswith("F"):
            return self.v
        z = (self.v > n.v_threshold).astype(float)
        self.v = np.where(z > 0, n.v_reset, self.v)
        return z


def simulate(graph, xs, dt, euler):
    """The outputs (time, n) of every neuron node for inputs (time, m)."""
    names, back = order(graph)
    neurons = {
        name: Neuron(graph.nodes[name], dt, euler)
        for name in names
        if type(graph.nodes[name]).__name__ not in ("Linear", "Affine")
    }
    last = {name: 0.0 * neurons[name].node.r for name in neurons}
    found = {name: [] for name in neurons}
    for x in xs:
        signal = x
        for name in names:
            node = graph.nodes[name]
            if name not in neurons:
                signal = node.weight @ signal + getattr(node, "bias", 0.0)
                continue
            if name in back:
                link = graph.nodes[back[name]]
                signal = signal + link.weight @ last[name] + getattr(link, "bias", 0.0)
            signal = last[name] = neurons[name].step(signal)
            found[name].append(signal)
    return {name: np.array(values) for name, values in found.items()}
