"""Layout: an explanation as data, and its three forms: text, LaTeX and Markdown."""

from typing import Any, NamedTuple


class Equation(NamedTuple):
    """`left = terms - ...`, sympy expressions; `dropped` are terms that the rule leaves out."""

    left: Any
    terms: tuple[Any, ...]
    dropped: tuple[Any, ...] = ()

    @property
    def right(self) -> Any:
        """The right side that the rule computes."""
        return sum(self.terms)

    @property
    def exact(self) -> Any:
        """The right side with nothing dropped."""
        return sum(self.terms + self.dropped)


class Section(NamedTuple):
    """Equations that belong together, in the order in which they can be evaluated."""

    title: str
    equations: tuple[Equation, ...]
    note: str = ""


class LayerExplanation(NamedTuple):
    """What a rule does in layers that are alike."""

    name: str
    sections: tuple[Section, ...]

    def section(self, title: str) -> Section:
        """The section of that title; `KeyError` if there is none."""
        for section in self.sections:
            if section.title == title:
                return section
        raise KeyError(f"{self.name} has no section {title!r}, only "
                       f"{', '.join(section.title for section in self.sections)}.")  # fmt: skip


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

        return printing.text(self)

    def latex(self) -> str:
        """The explanation in LaTeX: a heading and one `align*` for each section."""
        from tracegrad.inspect import printing

        return printing.latex(self)

    def markdown(self) -> str:
        """The explanation in Markdown with LaTeX equations in `$$`."""
        from tracegrad.inspect import printing

        return printing.markdown(self)
