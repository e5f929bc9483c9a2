"""Site: a layer as a rule meets it, with its ports and what each port's current does."""

from typing import NamedTuple

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Cell, Linear, tangent
from tracegrad.inspect.layout import Equation, Section

SHORT = 1  # operations up to which a drive is written where it is used


class Site(NamedTuple):
    """A layer's neuron in full and as far as the rule differentiates it, and where it stands.

    Ports are those of connections that there are, `readers` those of what reads the layer.
    """

    whole: Cell
    kept: Cell
    feedforward: tuple[str, ...]
    recurrent: tuple[str, ...]
    readers: tuple[str, ...]
    biased: bool
    below: bool
    hidden: bool

    @property
    def ports(self) -> tuple[str, ...]:
        """All ports that a connection drives."""
        return tuple(dict.fromkeys((*self.feedforward, *self.recurrent)))

    @property
    def port(self) -> str:
        """The port of a synapse, whichever it is: '' if there is one, else an unused letter."""
        names = self.whole.ports
        return "" if names == ("",) else next(x for x in "pqabc" if x not in names)

    @property
    def synapses(self) -> str:
        """What x_j stands for, for each kind of weight."""
        kinds = [("x_j[t]", "W", "ij", self.feedforward)]
        kinds += [("z_j[t-1]", "V", "ij", self.recurrent)] if self.recurrent else []
        kinds += [("1", "b", "i", self.feedforward)] if self.biased else []
        told = []
        for seen, head, index, ports in kinds:
            among = f" ({self.port}: {', '.join(ports)})" if self.port else ""
            told.append(f"{seen} for {n.at_port(head, self.port, index)}{among}")
        into = f" into port {self.port}" if self.port else ""
        return f"x_j{into} is {', '.join(told)}"

    def driven(self, rows: dict[str, Linear]) -> dict[str, Linear]:
        """Rows of the neuron with the drives of several ports by name, a synapse's own first."""
        if not self.port:
            return rows
        told: dict[str, Linear] = {}
        for row, linear in rows.items():
            here = {tangent(p): n.drive(p, row) for p in self.ports if tangent(p) in linear}
            own: Linear = {tangent(self.port): n.drive(self.port, row)} if here else {}
            long = {s: d for s, d in here.items() if sp.count_ops(linear[s]) > SHORT}
            ports = {s: long.get(s, linear[s]) for s in here}
            told[row] = own | {s: f for s, f in linear.items() if s not in here} | ports
        return told

    def drives(self) -> tuple[Section, ...]:
        """The drives of several ports as equations; a single current needs no name for them."""
        if not self.port:
            return ()
        equations = tuple(
            Equation(n.drive(port, row), (linear[tangent(port)],))
            for row, linear in self.kept.rows.items()
            for port in self.ports
            if tangent(port) in linear
        )
        note = (
            f"D_{self.port}_s: what the current of port {self.port} does to state s directly, "
            "0 where it is not listed"
        )
        return (Section("Drive", equations, note),)
