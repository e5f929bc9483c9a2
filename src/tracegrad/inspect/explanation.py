"""Explanation: a rule in equations as data, and its three forms: text, LaTeX and Markdown."""

from typing import NamedTuple

from tracegrad.inspect.layout import Equation, LayerExplanation


class Explanation(NamedTuple):
    """A rule for a network, in equations; `str` gives the text, `layers` the equations as data."""

    title: str
    note: str
    layers: tuple[LayerExplanation, ...]

    @property
    def traces(self) -> dict[str, tuple[Equation, ...]]:
        """By layer: the equations of the synapse traces, one for each state; none for bptt."""
        return {
            layer.name: section.equations
            for layer in self.layers
            for section in layer.sections
            if section.title in ("Trace", "Influence")
        }

    def __str__(self) -> str:
        from tracegrad.inspect import printing

        return printing.text(self.title, self.note, self.layers)

    def latex(self) -> str:
        """The explanation in LaTeX: a heading and one `align*` for each section."""
        from tracegrad.inspect import printing

        return printing.latex(self.title, self.note, self.layers)

    def markdown(self) -> str:
        """The explanation in Markdown with LaTeX equations in `$$`."""
        from tracegrad.inspect import printing

        return printing.markdown(self.title, self.note, self.layers)
